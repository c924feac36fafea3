"""What a command says before it does as it was told."""

from __future__ import annotations

from collections.abc import Mapping

import typer

OF_RUNS = ("sync.", "leadership.", "commit_seconds", "score_", "goal.versions")
"""How settings begin that say something of peers, versions or commits alone."""


def warn_of_run_settings(said: Mapping[str, object]) -> None:
    """One line on standard error if some of what was said for one process is for peers alone."""
    from p2pgan.peer.config import leaves

    if idle := [key for key in leaves(said) if key.startswith(OF_RUNS)]:
        typer.echo(
            f"p2pgan: a training in one process has no use for {', '.join(idle)}; the rest counts", err=True
        )


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
