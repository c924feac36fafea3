"""One Postgres for all runs, and a swarm of peers for each."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders in which an embedded Postgres may run; at the end, none of them does any more."""
    # Not in pytest's own folder: that one is closed to the account Postgres runs under.
    parent = Path(tempfile.mkdtemp(prefix="p2pgan-test-"))
    parent.chmod(0o755)
    made: list[Path] = []

    def make() -> Path:
        made.append(parent / f"postgres-{len(made)}")
        return made[-1]

    yield make
    for folder in made:
        if (folder / "data").exists():
            EmbeddedPostgres(folder).crash()
    shutil.rmtree(parent)


@pytest.fixture(scope="session")
def postgres(postgres_folder: Callable[[], Path]) -> Iterator[EmbeddedPostgres]:
    """The server that tests share if they leave it alone."""
    with EmbeddedPostgres(postgres_folder()) as server:
        yield server


@pytest.fixture(scope="module")
def swarms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[EmbeddedPostgres], Swarm]]:
    """Makes swarms, each with a run of its own name; all their processes end with the module."""
    with ExitStack() as stack:

        def make(server: EmbeddedPostgres) -> Swarm:
            run = f"run-{next(_numbers)}"
            return stack.enter_context(Swarm(tmp_path_factory.mktemp(run), server.dsn, run))

        yield make
