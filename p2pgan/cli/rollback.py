"""``p2pgan rollback``: the whole run goes back to weights of before."""

from __future__ import annotations

from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.protocol.texts import printable


def rollback(
    rendezvous: o.Rendezvous,
    to: Annotated[
        int, typer.Option("--to", metavar="VERSION", min=0, help="A version whose weights are kept.")
    ],
    run: o.RunName = None,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Take a run back to the weights of a stored version, for everyone, as after a collapse.

    Nothing is taken back: the old weights become a new version, and images that were counted stay
    counted. Peers that train take them in within seconds; what they have learned since is lost.

    Example: p2pgan rollback --rendezvous postgresql://me:secret@db.example.org/gan --to 50
    """
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(rendezvous) as database:
        row = database.find_run(run)
        version = database.roll_back(row.id, to, rehearse=dry_run)
    name = printable(row.name)
    if dry_run:
        typer.echo(f"make the weights of version {to} of {name} its version {version}")
        typer.echo("take the pen from whoever leads, and with it what was trained since the last commit")
    else:
        typer.echo(f"version {version} of {name} has the weights of version {to}; all go on from there")
