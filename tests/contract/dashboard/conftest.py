"""A real Postgres, a run in it, and a dashboard that shows it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pgan.dashboard.server import Dashboard
from p2pgan.rendezvous import EmbeddedPostgres, Rendezvous
from tests.contract.rendezvous.scenes import Scene, open_scene


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server for the tests of a file."""
    folder = Path(tempfile.mkdtemp(prefix="p2pgan-test-"))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def scene(postgres: EmbeddedPostgres) -> Iterator[Scene]:
    """A new run with peers A and B; A holds the pen in term 1."""
    with Rendezvous(postgres.dsn) as rendezvous:
        rendezvous.migrate()
        yield open_scene(rendezvous)


@pytest.fixture
def dashboard(postgres: EmbeddedPostgres, scene: Scene) -> Iterator[Dashboard]:
    """The page of that server, on a free port."""
    with Dashboard(postgres.dsn, port=0) as shown:
        yield shown
