"""A leader that stands still for longer than its lease, and then goes on as if nothing had been."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from p2pgan.journal import Journal
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create({"leadership": {"ttl_s": 3.0, "renew_s": 1.0}})
    made.start("ada", "ben")
    return made


def test_it_commits_nothing_in_its_old_term(swarm: Swarm) -> None:
    """A transaction of its old term is the first thing that it does when it wakes up."""
    leader = swarm.together("ada", "ben")
    term = swarm.status()["term"]

    leader.arm("commit", signal.SIGSTOP)
    swarm.froze(leader)
    swarm.taken_at(term + 1)
    swarm.grow(2)
    of_old_term = [r for r in swarm.history() if r.term == term]
    leader.wake()

    def stepped_down() -> bool:
        with Journal(leader.journal) as journal:
            return any(
                e.text.startswith(f"no longer leader of term {term}") for e in journal.events(swarm.run)
            )

    swarm.until(stepped_down, f"{leader.name} knows that its term is over")
    swarm.agree(*swarm.peers.values())
    assert [r for r in swarm.history() if r.term == term] == of_old_term
    assert swarm.problems() == []
    swarm.end()
