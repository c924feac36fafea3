"""Ctrl-C, and the goal: peers leave in order, the pen goes on, the run finishes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import DEADLINE_S, IMAGES, Swarm

HANDOVER_S = 4.0
"""The lease would hold for another 4 to 6 s: a pen taken sooner was handed over."""
EPOCHS = 4
VERSIONS = 7


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    made.start("ada", "ben", "cleo")
    return made


def run_to_its_goal(swarm: Swarm, goal: dict[str, int]) -> None:
    """Two peers, from the beginning to the goal."""
    swarm.create({"goal": goal})
    peers = swarm.start("ada", "ben")
    for peer in peers:
        peer.expected_end = True
    for peer in peers:
        assert peer.wait(DEADLINE_S), f"{peer.name} does not finish: {peer.last_words()}"
        assert peer.process is not None
        assert peer.process.returncode == 0, peer.last_words()
    assert swarm.database.find_run(swarm.run).state == "finished"
    swarm.check_journals(*peers)
    assert len({max(swarm.applied(peer).items()) for peer in peers}) == 1


def test_a_follower_leaves(swarm: Swarm) -> None:
    leader = swarm.together("ada", "ben", "cleo")
    follower = swarm.followers()[0]
    term = swarm.status()["term"]
    swarm.leave(follower)
    assert {p["name"]: p["state"] for p in swarm.status()["peers"]}[follower.name] == "left"
    swarm.grow(2)
    assert (swarm.leader(), swarm.status()["term"]) == (leader, term)
    assert swarm.problems() == []


def test_the_leader_hands_over_the_pen(swarm: Swarm) -> None:
    leader, (heir,) = swarm.leader(), swarm.followers()
    assert leader is not None
    term, before = swarm.status()["term"], swarm.committed
    asked_at = time.time()
    swarm.leave(leader)
    assert swarm.taken_at(term + 1) - asked_at < HANDOVER_S
    assert swarm.leader() is heir
    texts = [e.text for e in swarm.database.events(swarm.run_id) if e.at > asked_at]
    assert "asking for the pen: named as successor" in texts
    swarm.until(lambda: swarm.committed >= before + 3, "versions under the new leader")
    assert swarm.problems() == []


def test_the_last_one_commits_what_is_left(swarm: Swarm) -> None:
    """Spans of those who left were given back: every epoch is whole."""
    swarm.grow(2)
    epoch = swarm.complete_epochs()
    swarm.until(lambda: swarm.complete_epochs() > epoch, "the end of an epoch")
    swarm.leave_all()
    swarm.check_journals(*swarm.peers.values())


def test_the_run_ends_after_so_many_epochs(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]
) -> None:
    swarm = swarms(postgres)
    run_to_its_goal(swarm, {"epochs": EPOCHS})
    assert swarm.complete_epochs() == EPOCHS
    assert swarm.history()[-1].images == EPOCHS * IMAGES


def test_the_run_ends_at_a_version(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]
) -> None:
    swarm = swarms(postgres)
    run_to_its_goal(swarm, {"versions": VERSIONS})
    assert swarm.committed == VERSIONS
