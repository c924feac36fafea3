"""``p2pgan doctor``: whether this machine can take part, and what to do if not."""

from __future__ import annotations

import json
from dataclasses import replace
from socket import gethostname
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pgan.peer.doctor.finding import Finding
    from p2pgan.peer.options import JoinOptions

MOST_HOST = 56
"""Characters of this machine's name, before "-doctor" within the 63 of a peer's name."""


def doctor(
    rendezvous: o.OptionalRendezvous = None,
    run: o.RunName = None,
    dataset: o.Dataset = None,
    sharding: o.OwnSharding = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for a report of a problem; no secrets are in it.")
    ] = False,
    dial_back: Annotated[
        bool,
        typer.Option("--dial-back", help="Join for some seconds, so that those in the run dial back."),
    ] = False,
    data_root: o.DataRoot = None,
    name: o.PeerName = None,
    state_dir: o.StateDir = None,
    bind: o.Bind = None,
    advertise: o.Advertise = None,
    port: o.Port = 0,
    debug: o.Debug = False,
) -> None:
    """Check this machine, and with a DSN the database: each line is ok, or says what to do.

    With --dataset the images are decoded and compared. Give it what you would give to join. Nothing is
    changed; with --dial-back this machine is in the run for some seconds. The exit code is 1 if something
    must be mended before a peer can take part.

    Example: p2pgan doctor --rendezvous postgresql://me:secret@db.example.org/gan --dataset zip:faces.zip
    """
    from p2pgan.peer.doctor.examine import Patient, examine
    from p2pgan.peer.options import JoinOptions

    # Values that no peer can be started with are refused as there, and defaults are the same.
    peer = JoinOptions(
        rendezvous="none" if rendezvous is None else rendezvous,
        name=gethostname() if name is None else name,
        state_dir=state_dir,
        bind=bind,
        port=port,
    )
    if dial_back and rendezvous is None:
        raise ConfigError("--dial-back needs those who are in a run: give --rendezvous")
    findings = examine(
        Patient(
            rendezvous=rendezvous,
            run=run,
            dataset=dataset,
            data_root=data_root,
            own_sharding=sharding,
            state_folder=peer.state_folder,
            bind_host=peer.bind_host,
            advertise=advertise,
            port=port,
            dial_back=_caller(peer, advertise) if dial_back else None,
        )
    )
    if not (_print_json(findings) if as_json else _print(findings)):
        raise typer.Exit(1)


def _caller(peer: JoinOptions, advertise: str | None) -> JoinOptions:
    """Who asks to be dialled back: not the peer itself, which may be running."""
    named = f"{gethostname()[:MOST_HOST]}-doctor"
    folder = None if peer.state_dir is None else peer.state_dir / "doctor"
    return replace(peer, name=named, state_dir=folder, advertise=advertise)


def _print(findings: Iterable[Finding]) -> bool:
    """Prints each as it comes, and a last line; whether nothing must be mended."""
    marks = []
    for finding in findings:
        marks.append(finding.mark)
        typer.echo(printable(f"{finding.mark:<5} {finding.check:<9} {finding.text}"))
    faults = marks.count("mend")
    typer.echo(f"{faults} to mend, {marks.count('note')} to note" if faults else "this machine can take part")
    return not faults


def _print_json(findings: Iterable[Finding]) -> bool:
    found = list(findings)
    healthy = all(finding.mark != "mend" for finding in found)
    checks = [{"check": f.check, "mark": f.mark, "text": f.text, "facts": dict(f.facts)} for f in found]
    typer.echo(json.dumps({"ok": healthy, "checks": checks}, indent=2))
    return healthy
