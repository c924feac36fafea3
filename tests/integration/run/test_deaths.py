"""``kill -9`` at the worst moments, one after the other, in one run of three peers."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from p2pgan.failpoints import Moment
from p2pgan.journal import Journal
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm

TAKEOVER_S = 10.0
"""The promise for leases as they are by default: 6 s, renewed every 2 s."""
WITHOUT_S = 8.0
"""Silence counts after 2.5 s; this is that, the exchange, and a busy machine."""
PEERS = ("ada", "ben", "cleo")


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    made.start(*PEERS)
    return made


@pytest.mark.parametrize("moment", ["training", "exchange", "staging", "commit", "announce"])
def test_another_takes_the_pen_of_a_killed_leader(swarm: Swarm, moment: Moment) -> None:
    leader = swarm.together(*PEERS)
    term, before = swarm.status()["term"], swarm.committed

    leader.arm(moment, signal.SIGKILL)
    died_at = swarm.died(leader)
    taken_at = swarm.taken_at(term + 1)
    swarm.start(leader.name)

    assert taken_at - died_at < TAKEOVER_S
    # The first ones it commits may be what the dead leader had decided.
    swarm.until(lambda: swarm.history()[-1].term > term, "a version of the new term")
    swarm.grow(1)
    assert swarm.problems() == []
    assert {r.term for r in swarm.history() if r.version > before} <= {term, term + 1}


@pytest.mark.parametrize("moment", ["exchange", "result"])
def test_a_round_goes_on_without_a_follower_killed_in_its_exchange(swarm: Swarm, moment: Moment) -> None:
    leader = swarm.together(*PEERS)
    term = swarm.status()["term"]
    follower = swarm.followers()[0]
    identity = {name: peer for peer, name in swarm.names().items()}[follower.name]

    follower.arm(moment, signal.SIGKILL)
    died_at = swarm.died(follower)
    swarm.start(follower.name)

    def versions_after() -> list[float]:
        with Journal(leader.journal) as journal:
            return [
                v.at
                for v in journal.versions(swarm.run)
                if v.at > died_at and all(c.peer != identity for c in v.record.contributions)
            ]

    without = swarm.until(versions_after, f"a version without {follower.name}")
    assert without[0] - died_at < WITHOUT_S
    assert swarm.status()["term"] == term
    assert swarm.problems() == []


def test_all_end_with_the_same_weights(swarm: Swarm) -> None:
    swarm.together(*PEERS)
    swarm.agree(*swarm.peers.values())
    swarm.end()
