"""``p2pgan invite``: a login for somebody else."""

from __future__ import annotations

from typing import Annotated

import typer

from p2pgan.cli import options as o


def invite(
    login: Annotated[str, typer.Argument(metavar="NAME", help="Name of the login: a-z, 0-9, _ and -.")],
    rendezvous: o.Rendezvous,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="HOST",
            callback=o.host,
            help="Where others reach the database; left out, as here.",
        ),
    ] = None,
    debug: o.Debug = False,
) -> None:
    """Make a login for one person and print the line that this person runs.

    The login may take part in the runs of this database, lead when the pen comes to it, and no more.
    The password is in that line and nowhere else; inviting NAME again makes a new one.

    Example: p2pgan invite alice --rendezvous postgresql://me:secret@db.example.org/gan
    """
    from p2pgan.rendezvous import open_rendezvous
    from p2pgan.rendezvous.dsn import only_from_here

    with open_rendezvous(rendezvous) as database:
        database.migrate()
        dsn = database.invite(login, host)
    typer.echo(f'p2pgan join --rendezvous "{dsn}"')
    if only_from_here(dsn):
        typer.echo("p2pgan: that address leads to this machine only: say --host for others", err=True)
