"""``p2pgan invite``: a login for somebody else."""

from __future__ import annotations

from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.listing import print_lines
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
    dry_run: o.DryRun = False,
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
    if dry_run:
        print_lines(_would(rendezvous, login, host))
        return
    with open_rendezvous(rendezvous) as database:
        database.migrate()
        dsn = database.invite(login, host)
    typer.echo(f'p2pgan join --rendezvous "{dsn}"')
    if embedded:
        typer.echo(f"p2pgan: the embedded Postgres listens on this machine only: {FOR_OTHERS}", err=True)
    elif only_from_here(dsn):
        typer.echo("p2pgan: that address leads to this machine only: say --host for others", err=True)


def _would(rendezvous: str, login: str, host: str | None) -> list[str]:
    """What an invitation would do, line by line; it is tried and taken back."""
    from p2pgan.rendezvous import open_rendezvous
    from p2pgan.rendezvous.dsn import place_of
    from p2pgan.rendezvous.translation import NoSchema

    with open_rendezvous(rendezvous) as database:
        try:
            database.check_schema()
        except NoSchema:
            return ["make the tables of p2pgan in the database", f"make the login {login}"]
        known = login in {row.login for row in database.list_logins()}
        dsn = database.invite(login, host, rehearse=True)
    made = f"give {login}, who was invited before, a new password" if known else f"make the login {login}"
    return [made, f"print the line with which {login} joins at {place_of(dsn)}"]
