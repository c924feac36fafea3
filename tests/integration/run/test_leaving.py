"""Ctrl-C, and the goal: peers leave in order, the pen goes on, the run finishes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import DEADLINE_S
from tests.integration.run.swarm import IMAGES, Swarm

HANDOVER_S = 4.0
"""The lease would hold for another 4 to 6 s: a pen taken sooner was handed over."""
EPOCHS = 4
VERSIONS = 12


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    made.start("ada", "ben", "cleo")
    return made


@pytest.fixture(scope="module")
def with_goals(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> dict[str, Swarm]:
    """Two runs of two peers at the same time, each with a goal of its own."""
    started = {}
    for goal, value in (("epochs", EPOCHS), ("versions", VERSIONS)):
        swarm = started[goal] = swarms(postgres)
        swarm.create({"goal": {goal: value}})
        for peer in swarm.start("ada", "ben"):
            peer.expected_end = True
    return started


def finish(swarm: Swarm) -> None:
    """Both peers end in order, those that took part with the same weights, and the run is closed.

    A peer that came when the others had all but reached the goal leaves with nothing of its own.
    """
    for peer in swarm.peers.values():
        assert peer.wait(DEADLINE_S), f"{peer.name} does not finish: {peer.last_words()}"
        assert peer.process is not None
        assert peer.process.returncode == 0, peer.last_words()
    assert swarm.database.find_run(swarm.run).state == "finished"
    took_part = [peer for peer in swarm.peers.values() if peer.takes_part()]
    swarm.check_journals(*took_part)
    assert len({max(swarm.applied(peer).items()) for peer in took_part}) == 1


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
    leader, heirs = swarm.leader(), swarm.followers()
    assert leader is not None
    term, before = swarm.status()["term"], swarm.committed
    asked_at = time.time()
    swarm.leave(leader)
    assert swarm.taken_at(term + 1) - asked_at < HANDOVER_S
    assert swarm.leader() in heirs
    texts = [e.text for e in swarm.database.events(swarm.run_id) if e.at > asked_at]
    assert "named as successor: asking for the pen" in texts
    swarm.until(lambda: swarm.committed >= before + 3, "versions under the new leader")
    assert swarm.problems() == []


def test_the_last_one_commits_what_is_left(swarm: Swarm) -> None:
    """Spans of those who left were given back: every epoch is whole."""
    swarm.grow(2)
    epoch = swarm.complete_epochs()
    swarm.until(lambda: swarm.complete_epochs() > epoch, "the end of an epoch")
    swarm.leave_all()
    swarm.check_journals(*swarm.peers.values())


def test_a_run_ends_after_so_many_epochs(with_goals: dict[str, Swarm]) -> None:
    swarm = with_goals["epochs"]
    finish(swarm)
    assert swarm.complete_epochs() == EPOCHS
    assert swarm.history()[-1].images == EPOCHS * IMAGES


def test_a_run_ends_at_a_version(with_goals: dict[str, Swarm]) -> None:
    swarm = with_goals["versions"]
    finish(swarm)
    assert swarm.committed == VERSIONS
