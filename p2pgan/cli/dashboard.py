"""``p2pgan dashboard``: the live page of a rendezvous, in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.interrupt import asked_to_end
from p2pgan.dashboard import DEFAULT_PORT


def dashboard(
    rendezvous: o.Rendezvous,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="HOST",
            callback=o.host,
            help="Address to listen on; with another than this machine's own, a token is asked for.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65_535, help="Taken: the next free one. 0: any.")
    ] = DEFAULT_PORT,
    debug: o.Debug = False,
) -> None:
    """Show runs live in a browser: the newest faces, curves, peers, work and events.

    It only reads, and asks the database nothing while nobody looks. Ctrl-C ends it.

    Example: p2pgan dashboard --rendezvous postgresql://me:secret@db.example.org/gan --host 0.0.0.0
    """
    from p2pgan.dashboard.server import Dashboard
    from p2pgan.rendezvous import open_rendezvous

    # The database stays open for as long as the page: an embedded one is stopped by the last that leaves.
    with asked_to_end() as asked, open_rendezvous(rendezvous, read_only=True) as database:
        database.check_schema()
        with Dashboard(rendezvous, host, port) as page:
            typer.echo(f"dashboard: {page.url}")
            asked.wait()
