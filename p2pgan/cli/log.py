"""``p2pgan log``: what a peer of this machine wrote down about itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.journals import journal_file
from p2pgan.cli.listing import print_lines, print_objects, time_of
from p2pgan.protocol.texts import SHORT_ID

if TYPE_CHECKING:
    from p2pgan.journal import Noted

_LABELS = {"units": "unit", "rounds": "round", "versions": "version", "scores": "score", "events": "event"}


def log(
    journal: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            show_default=False,
            help="A peer's journal, or its state folder; left out, that of --name.",
        ),
    ] = None,
    name: o.PeerName = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="Only what belongs to this run.")
    ] = None,
    limit: o.Limit = o.USUAL_LIMIT,
    as_json: o.AsArray = False,
    debug: o.Debug = False,
) -> None:
    """List what a peer of this machine did, the newest last: units, rounds, versions, events.

    It reads the peer's journal and changes nothing; the peer may be running. No database is needed.

    Example: p2pgan log ~/.local/state/p2pgan/ada --limit 100
    """
    from p2pgan.journal import read_tail
    from p2pgan.peer.options import default_state_dir

    place = journal if journal is not None else default_state_dir(gethostname() if name is None else name)
    noted = read_tail(journal_file(place), limit, run)
    if as_json:
        print_objects(asdict(row) for row in noted)
    else:
        print_lines(f"{time_of(row.at)} {_LABELS[row.kind]:<9} {_text(row)}" for row in noted)


def _text(row: Noted) -> str:
    of = row.values.get
    if row.kind == "units":
        what = f"unit {of('unit')} of epoch {of('epoch')}: {of('images')} images"
        losses = f"G {_number(of('loss_g'), 2)} D {_number(of('loss_d'), 2)}"
        return f"{what} in {_number(of('seconds'))} s, {losses}"
    if row.kind == "rounds":
        who = f"{of('members')} members, {of('images')} images, {_number(of('seconds'))} s"
        return f"round {of('round')} {of('outcome')}: {who}"
    if row.kind == "versions":
        return f"version {of('version')}, digest {str(of('digest'))[:SHORT_ID]}"
    if row.kind == "scores":
        return f"version {of('version')}: FID {_number(of('fid'), 3)}, floor {_number(of('floor'), 3)}"
    return f"{of('kind')}: {of('text')}"


def _number(value: object, decimals: int = 1) -> str:
    """A number; SQLite keeps one that is not finite as nothing, and a damaged journal anything."""
    return f"{value:.{decimals}f}" if isinstance(value, int | float) else "-"
