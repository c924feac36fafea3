"""One Postgres for all runs, and a swarm of peers for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.server import running_postgres
from tests.integration.run.swarm import Swarm

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server that tests share if they leave it alone."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def swarms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[EmbeddedPostgres], Swarm]]:
    """Makes swarms, each with a run of its own name; all their processes end with the module."""
    with ExitStack() as stack:

        def make(server: EmbeddedPostgres) -> Swarm:
            run = f"run-{next(_numbers)}"
            return stack.enter_context(Swarm(tmp_path_factory.mktemp(run), server.dsn, run))

        yield make
