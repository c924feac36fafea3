"""Postgres goes away: training and rounds go on, commits follow when it is back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from p2pgan.journal import Journal, WaitingCommit
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.server import running_postgres
from tests.integration.run.swarm import Swarm

OUTAGE_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that a test may stop."""
    with running_postgres() as started:
        yield started


@pytest.fixture(scope="module")
def swarm(server: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(server)
    made.create()
    made.start("ada", "ben")
    return made


def test_rounds_go_on_and_commits_follow(swarm: Swarm, server: EmbeddedPostgres) -> None:
    leader = swarm.together("ada", "ben")
    server.crash()
    stopped_at, stopped = time.monotonic(), max(swarm.applied(leader))
    swarm.until(lambda: time.monotonic() - stopped_at >= OUTAGE_S, "the outage")
    made = {name: swarm.applied(peer) for name, peer in swarm.peers.items()}
    server.start()
    swarm.database_is_back()

    reached = max(made[leader.name])
    assert reached >= stopped + 4, "rounds of a second went on for twenty"
    swarm.until(lambda: swarm.committed >= reached, f"version {reached} in the database")
    committed = {record.version: record.digest for record in swarm.history()}
    for applied in made.values():
        assert applied.items() <= committed.items()
    swarm.agree(*swarm.peers.values())
    assert swarm.problems() == []


def test_what_was_made_meanwhile_outlives_the_death_of_all(swarm: Swarm, server: EmbeddedPostgres) -> None:
    """The leader's outbox holds the commit that could not be made."""
    leader = swarm.together("ada", "ben")
    before = swarm.committed
    server.crash()

    def waiting() -> WaitingCommit | None:
        with Journal(leader.journal) as journal:
            commit = journal.peek_commit(swarm.run)
        return commit if commit is not None and commit.manifest.version >= before + 3 else None

    swarm.until(waiting, "a commit in the outbox")
    swarm.kill_all()
    kept = waiting()
    assert kept is not None
    server.start()
    swarm.database_is_back()
    swarm.start(leader.name)
    swarm.until(lambda: swarm.committed >= kept.manifest.version, "what the outbox kept is committed")
    swarm.start(*(name for name, peer in swarm.peers.items() if not peer.alive))

    committed = {(r.version, r.digest, r.images) for r in swarm.history()}
    assert {(r.version, r.digest, r.images) for r in kept.records} <= committed
    swarm.together("ada", "ben")
    swarm.end()
