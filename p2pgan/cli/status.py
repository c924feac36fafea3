"""``p2pgan status``: what a run is doing now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.protocol.texts import SHORT_ID, counted, printable

if TYPE_CHECKING:
    from p2pgan.rendezvous import PeerStatus, RunState, StatusSnapshot

LIVE_S = 15.0
"""A peer whose last sign is older is not here, as the rendezvous counts."""


def status(
    rendezvous: o.Rendezvous,
    run: o.RunName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with documented keys.")] = False,
    debug: o.Debug = False,
) -> None:
    """Show what a run is doing: versions, leader, peers, units, images per second.

    Example: p2pgan status --rendezvous postgresql://me:secret@db.example.org/gan --json
    """
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(rendezvous) as database:
        row = database.find_run(run)
        snapshot = database.status(row.id)
    if as_json:
        typer.echo(json.dumps(snapshot, indent=2))
    else:
        _print(snapshot, row.state)


def _print(snapshot: StatusSnapshot, state: RunState) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)

    def line(text: str) -> None:
        console.print(printable(text), markup=False)

    for text in _finished(snapshot) if state == "finished" else _active(snapshot):
        line(text)
    if not snapshot["peers"]:
        return
    table = Table("peer", "state", "device", "images/s", "last sign", "version", "digest")
    for peer in snapshot["peers"]:
        # Texts, not strings: what others chose for a name is no markup.
        table.add_row(*(Text(printable(cell)) for cell in _cells(peer)))
    console.print(table)
    for peer in snapshot["peers"]:
        if peer["set_aside"]:
            line(f"{peer['name']} is set aside: {peer['set_aside']}")
        if peer["offences"]:
            sent = counted(peer["offences"], "offence")
            line(f"{peer['name']}: {sent}, things sent that no peer may send")


def _cells(peer: PeerStatus) -> tuple[str, ...]:
    return (
        peer["name"],
        "set aside" if peer["set_aside"] else peer["state"],
        peer["device"],
        f"{peer['images_per_s']:,.0f}",
        f"{peer['last_seen_s']:.0f} s ago",
        str(peer["version"]),
        peer["digest"][:SHORT_ID],
    )


def _active(snapshot: StatusSnapshot) -> list[str]:
    units, version = snapshot["units"], snapshot["committed_version"]
    lines = [
        f"run {snapshot['run']}, version {version}, last commit {snapshot['last_commit_age_s']:.0f} s ago"
    ]
    if any(_is_live(peer) for peer in snapshot["peers"]):
        leader = next(
            (peer["name"] for peer in snapshot["peers"] if peer["id"] == snapshot["leader"]), "nobody"
        )
        lines.append(f"term {snapshot['term']}, led by {leader}; epoch {snapshot['epoch']}")
        lines.append(f"{snapshot['images']:,} images counted, {snapshot['images_per_s']:,.0f} images/s")
    else:
        lines.append(
            f"nobody is here; the run waits at version {version} for whoever joins; epoch {snapshot['epoch']}"
        )
        lines.append(f"{snapshot['images']:,} images counted")
    lines.append(f"units: {units['open']} open, {units['leased']} leased, {units['done']} done")
    return lines


def _is_live(peer: PeerStatus) -> bool:
    return peer["state"] in ("joining", "active") and peer["last_seen_s"] < LIVE_S


def _finished(snapshot: StatusSnapshot) -> list[str]:
    """Nobody leads or trains any more, so what is open, leased or quick says nothing."""
    return [
        f"run {snapshot['run']}, finished: version {snapshot['committed_version']}, "
        f"last commit {snapshot['last_commit_age_s']:.0f} s ago",
        f"{snapshot['images']:,} images counted, {counted(snapshot['units']['done'], 'unit')} done",
    ]
