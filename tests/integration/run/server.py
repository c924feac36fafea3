"""A Postgres of one's own for as long as it is needed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from p2pgan.rendezvous import EmbeddedPostgres


@contextmanager
def running_postgres() -> Iterator[EmbeddedPostgres]:
    """An embedded Postgres that runs inside, and is gone afterwards whoever still uses it."""
    # Not in pytest's own folder: that one is closed to the account Postgres runs under.
    parent = Path(tempfile.mkdtemp(prefix="p2pgan-test-"))
    parent.chmod(0o755)
    server = EmbeddedPostgres(parent / "postgres")
    try:
        server.start()
        yield server
    finally:
        server.crash()
        server.leave()
        shutil.rmtree(parent)
