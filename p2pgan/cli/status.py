"""``p2pgan status``: what a run is doing now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.protocol.texts import counted

if TYPE_CHECKING:
    from p2pgan.rendezvous import RunState, StatusSnapshot


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
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print("\n".join(_finished(snapshot) if state == "finished" else _active(snapshot)), markup=False)
    if not snapshot["peers"]:
        return
    table = Table("peer", "state", "device", "images/s", "last sign", "version", "digest")
    for peer in snapshot["peers"]:
        table.add_row(
            escape(peer["name"]),
            "set aside" if peer["set_aside"] else peer["state"],
            peer["device"],
            f"{peer['images_per_s']:,.0f}",
            f"{peer['last_seen_s']:.0f} s ago",
            str(peer["version"]),
            peer["digest"][:8],
        )
    console.print(table)
    for peer in snapshot["peers"]:
        if peer["set_aside"]:
            console.print(f"{peer['name']} is set aside: {peer['set_aside']}", markup=False)
        if peer["offences"]:
            sent = counted(peer["offences"], "offence")
            console.print(f"{peer['name']}: {sent}, things sent that no peer may send", markup=False)


def _active(snapshot: StatusSnapshot) -> list[str]:
    leader = next((peer["name"] for peer in snapshot["peers"] if peer["id"] == snapshot["leader"]), "nobody")
    units = snapshot["units"]
    return [
        f"run {snapshot['run']}, version {snapshot['committed_version']}, "
        f"last commit {snapshot['last_commit_age_s']:.0f} s ago",
        f"term {snapshot['term']}, led by {leader}; epoch {snapshot['epoch']}",
        f"{snapshot['images']:,} images counted, {snapshot['images_per_s']:,.0f} images/s",
        f"units: {units['open']} open, {units['leased']} leased, {units['done']} done",
    ]


def _finished(snapshot: StatusSnapshot) -> list[str]:
    """Nobody leads or trains any more, so what is open, leased or quick says nothing."""
    return [
        f"run {snapshot['run']}, finished: version {snapshot['committed_version']}, "
        f"last commit {snapshot['last_commit_age_s']:.0f} s ago",
        f"{snapshot['images']:,} images counted, {counted(snapshot['units']['done'], 'unit')} done",
    ]
