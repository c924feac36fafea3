"""``p2pgan invite``: a login for somebody else."""

from __future__ import annotations

from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.errors import ConfigError

FOR_OTHERS = "for people on other machines, lead with the DSN of a Postgres server that they can reach"


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
    from p2pgan.rendezvous.dsn import is_local, only_from_here
    from p2pgan.rendezvous.postgres import EMBEDDED_PREFIX

    embedded = rendezvous.startswith(EMBEDDED_PREFIX)
    if embedded and host is not None and not is_local(host):
        raise ConfigError(f"the embedded Postgres listens on this machine only, not on {host}: {FOR_OTHERS}")
    with open_rendezvous(rendezvous) as database:
        database.migrate()
        dsn = database.invite(login, host)
    typer.echo(f'p2pgan join --rendezvous "{dsn}"')
    if embedded:
        typer.echo(f"p2pgan: the embedded Postgres listens on this machine only: {FOR_OTHERS}", err=True)
    elif only_from_here(dsn):
        typer.echo("p2pgan: that address leads to this machine only: say --host for others", err=True)
