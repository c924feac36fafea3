from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pgan.rendezvous import EmbeddedPostgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where an embedded Postgres may be made; it is stopped afterwards, whatever the test did."""
    # Not in pytest's own folder: that one is closed to the account Postgres runs under.
    parent = Path(tempfile.mkdtemp(prefix="p2pgan-test-"))
    parent.chmod(0o755)
    yield parent / "postgres"
    if (parent / "postgres" / "data").exists():
        EmbeddedPostgres(parent / "postgres").crash()
    shutil.rmtree(parent)
