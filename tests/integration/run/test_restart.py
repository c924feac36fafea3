"""Everything killed at once and started again: the run goes on from its last commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from p2pgan.journal import Journal
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm

PEERS = ("ada", "ben", "cleo")


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create({"leadership": {"ttl_s": 3.0, "renew_s": 1.0}})
    made.start(*PEERS)
    return made


def test_the_run_goes_on_from_the_last_commit(swarm: Swarm) -> None:
    swarm.together(*PEERS)
    swarm.grow(2)
    swarm.kill_all()
    acknowledged, term = swarm.history(), swarm.status()["term"]
    swarm.start(*PEERS)
    swarm.grow(3)
    history = swarm.history()
    assert history[: len(acknowledged)] == acknowledged
    following = history[len(acknowledged)]
    assert following.parent_digest == acknowledged[-1].digest
    assert following.term == term + 1
    assert swarm.problems() == []


def test_each_image_of_each_finished_epoch_counts_once(swarm: Swarm) -> None:
    """By the database's history, and by what each peer wrote down as trained before it was counted."""
    swarm.together(*PEERS)
    finished = swarm.complete_epochs()
    swarm.until(lambda: swarm.complete_epochs() > max(1, finished), "the end of another epoch")
    swarm.end()
    names = swarm.names()
    counted: Counter[tuple[str, int, int]] = Counter()
    for record in swarm.history():
        for contribution in record.contributions:
            for span in contribution.spans:
                counted[names[contribution.peer], span.epoch, span.unit] += span.images
    trained: Counter[tuple[str, int, int]] = Counter()
    for name, peer in swarm.peers.items():
        with Journal(peer.journal) as journal:
            for unit in journal.units(swarm.run):
                trained[name, unit.line.epoch, unit.line.unit] += unit.line.images
    assert counted <= trained, counted - trained
