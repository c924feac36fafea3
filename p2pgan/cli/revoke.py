"""``p2pgan revoke``: the end of an invitation."""

from __future__ import annotations

from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.protocol.texts import counted


def revoke(
    login: Annotated[str, typer.Argument(metavar="NAME", help="Name of an invited login.")],
    rendezvous: o.Rendezvous,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Shut an invited login out: no session any more, and its peers' keys out of every run.

    What it contributed stays counted.

    Example: p2pgan revoke alice --rendezvous postgresql://me:secret@db.example.org/gan
    """
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(rendezvous) as database:
        if dry_run:
            peers = counted(database.rehearse_revoke(login), "peer")
            typer.echo(f"let nobody log in as {login} any more, end its sessions, dismiss {peers}")
            return
        dismissed = database.revoke(login)
    typer.echo(f"{login} is out: no login, no session, {counted(dismissed, 'peer')} dismissed")
