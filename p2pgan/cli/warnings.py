"""What a command says before it does as it was told."""

from __future__ import annotations

import typer


def warn_without_tls(rendezvous: str) -> None:
    """One line on standard error if the way to the database is open to whoever is on it."""
    from p2pgan.rendezvous.dsn import host_without_tls
    from p2pgan.rendezvous.postgres import EMBEDDED_PREFIX

    if rendezvous.startswith(EMBEDDED_PREFIX):
        return
    if host := host_without_tls(rendezvous):
        typer.echo(
            f"p2pgan: the DSN does not insist on TLS, so others on the way to {host} may read and change "
            "what goes to the database: add sslmode=require, or better verify-full",
            err=True,
        )
