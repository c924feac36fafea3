"""``p2pgan status``: what a run is doing now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli import signals
from p2pgan.cli.help import optional_value
from p2pgan.cli.interrupt import asked_to_end
from p2pgan.cli.watch import place_to_show, watch
from p2pgan.protocol.texts import SHORT_ID, counted, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from p2pgan.rendezvous import PeerStatus, RunRow, StatusSnapshot, TrafficShown

    Seen = tuple[StatusSnapshot, RunRow]

LIVE_S = 15.0
"""A peer whose last sign is older is not here, as the rendezvous counts."""


def status(
    rendezvous: o.Rendezvous,
    run: o.RunName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with documented keys.")] = False,
    every_s: Annotated[
        float | None,
        typer.Option(
            "--watch",
            metavar="[SECONDS]",
            min=0.2,
            max=3600,
            help=f"Look again and again; left out, every {optional_value('--watch')} seconds.",
        ),
    ] = None,
    debug: o.Debug = False,
) -> None:
    """Show what a run is doing: versions, leader, peers, units, images per second.

    With --watch it looks again until Ctrl-C: redrawn on a terminal, elsewhere printed anew with the time.

    Example: p2pgan status --rendezvous postgresql://me:secret@db.example.org/gan --watch 5
    """
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(rendezvous) as database:
        row = database.find_run(run)

        def look() -> Seen:
            return database.status(row.id), database.find_run(row.name)

        if every_s is not None:
            _watch(look, every_s, as_json)
        elif as_json:
            typer.echo(json.dumps(database.status(row.id), indent=2))
        else:
            _console().print(_page(database.status(row.id), row))


def _watch(look: Callable[[], Seen], every_s: float, as_json: bool) -> None:
    with asked_to_end() as asked:
        if as_json:
            watch(look, _Objects(), every_s, asked)
            return
        with place_to_show(_console()) as place:
            watch(lambda: _page(*look()), place, every_s, asked)


class _Objects:
    """A JSON object on a line of its own for each look."""

    def show(self, seen: Seen) -> None:
        typer.echo(json.dumps(seen[0]))

    def away(self, why: str) -> None:
        typer.echo(f"p2pgan: {printable(why)}", err=True)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _page(snapshot: StatusSnapshot, row: RunRow) -> RenderableType:
    """Everything about the run. What others chose goes into texts, not strings: it is no markup."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    lines = _finished(snapshot) if row.state == "finished" else _active(snapshot)
    parts: list[RenderableType] = [Text(printable(line)) for line in lines]
    if snapshot["peers"]:
        table = Table("peer", "state", "device", "images/s", "last sign", "version", "digest")
        for peer in snapshot["peers"]:
            table.add_row(*(Text(printable(cell)) for cell in _cells(peer)))
        parts.append(table)
    parts += [Text(printable(line)) for peer in snapshot["peers"] for line in _remarks(peer)]
    if (took := snapshot["traffic"]) is not None:
        parts.append(Text(_traffic_line(took)))
    if snapshot["scores"]:
        parts.append(Text(printable(signals.score_line(snapshot["scores"], snapshot["best_version"]))))
    if (told := snapshot["signals"]) is not None:
        rollback = f"p2pgan rollback --rendezvous DSN --run {snapshot['run']} --to VERSION"
        parts += [
            Text(printable(line)) for line in signals.lines(told, signals.is_relative(row.config), rollback)
        ]
        # Without lines it fits a terminal of 80 columns.
        heads = [name.replace(" ", "\n") for name in signals.COLUMNS]
        table = Table(*heads, box=None, padding=(0, 1, 0, 0))
        for peer in snapshot["peers"]:
            if (of_peer := peer["signals"]) is not None:
                table.add_row(*(Text(printable(cell)) for cell in signals.cells(peer, of_peer)))
        parts.append(table)
    return Group(*parts)


def _traffic_line(took: TrafficShown) -> str:
    from rich.filesize import decimal

    sent, received = decimal(took["sent"]), decimal(took["received"])
    return f"version {took['version']} took {sent} sent and {received} received by each peer, on average"


def _remarks(peer: PeerStatus) -> Iterator[str]:
    """What is out of the order with a peer."""
    if peer["set_aside"]:
        yield f"{peer['name']} is set aside: {peer['set_aside']}"
    if peer["offences"]:
        sent = counted(peer["offences"], "offence")
        yield f"{peer['name']}: {sent}, things sent that no peer may send"


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
