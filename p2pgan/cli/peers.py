"""``p2pgan peers``: who takes part under which login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pgan.cli import options as o
from p2pgan.errors import RendezvousRefused, Trouble
from p2pgan.protocol.texts import SHORT_ID, printable

if TYPE_CHECKING:
    from p2pgan.rendezvous import LoginRow


def peers(rendezvous: o.Rendezvous, debug: o.Debug = False) -> None:
    """List the peers of all runs with their logins, and the logins without a peer.

    Example: p2pgan peers --rendezvous postgresql://me:secret@db.example.org/gan
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(rendezvous) as database:
        database.check_schema()
        if database.standing() != "trusted":
            raise RendezvousRefused(
                "this login may not see the others' logins: p2pgan status shows the peers of a run",
                Trouble.DATABASE_ROLE,
            )
        rows = database.list_logins()
    table = Table("login", "run", "peer", "key", "state", "last sign")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in _cells(row)))  # what others chose is no markup
    Console(highlight=False).print(table)


def _cells(row: LoginRow) -> tuple[str, ...]:
    login = row.login if row.enabled else f"{row.login} (revoked)"
    if row.peer is None or row.last_seen_s is None:
        return (login, "-", "-", "-", "-", "-")
    seen = f"{row.last_seen_s:.0f} s ago"
    return (login, row.run or "", row.name or "", row.peer[:SHORT_ID], row.state or "", seen)
