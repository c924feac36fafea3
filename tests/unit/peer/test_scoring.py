"""Scores in the background: when one is due, what is told, and what happens when it fails."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from p2pgan.errors import RendezvousUnavailable
from p2pgan.gan.config import parse_config
from p2pgan.gan.data import ImageSet
from p2pgan.gan.scores.builtin import builtin_extractor
from p2pgan.gan.scores.features import Extractor
from p2pgan.gan.trainer import Trainer
from p2pgan.journal import Journal
from p2pgan.peer.inbox import Inbox, ThreadDied
from p2pgan.peer.log import Log
from p2pgan.peer.memory import Memory
from p2pgan.peer.scoring import Scorer
from p2pgan.peer.vectors import Snapshot
from p2pgan.rendezvous import ScoreRow
from tests.unit.gan.conftest import one_thread

__all__ = ["one_thread"]

GAN = parse_config({"model": {"width": 8, "latent_dim": 8}})
IMAGES = ImageSet(np.random.default_rng(1).integers(0, 256, (64, 3, 32, 32), dtype=np.uint8))
WITHIN_S = 60.0
Make = Callable[..., Scorer]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def make(journal: Journal, inbox: Inbox) -> Iterator[Make]:
    made: list[Scorer] = []

    def scorer(write: Callable[[ScoreRow], None], extractor: Extractor | None = None) -> Scorer:
        log = Log("lines")
        kind = builtin_extractor() if extractor is None else extractor
        made.append(Scorer(GAN, IMAGES, kind, 32, Memory(journal, "run", log), inbox, log, write))
        made[-1].start()
        return made[-1]

    yield scorer
    for one in made:
        one.end(WITHIN_S)


def snapshot(version: int) -> Snapshot:
    trainer = Trainer(GAN, IMAGES)
    theta = trainer.theta()
    return Snapshot(trainer.layout, version, "d", 0, theta, theta[trainer.layout.slice_of("G")].clone())


def test_the_same_weights_have_the_same_score(make: Make, journal: Journal) -> None:
    told: queue.SimpleQueue[ScoreRow] = queue.SimpleQueue()
    scorer = make(told.put)
    rows = []
    for version in (3, 6):
        assert scorer._free.wait(WITHIN_S)
        scorer.score(snapshot(version))
        rows.append(told.get(timeout=WITHIN_S))
    assert [row.version for row in rows] == [3, 6]
    assert rows[0].fid == rows[1].fid > rows[0].floor > 0
    assert (rows[0].images, rows[0].extractor) == (32, "builtin")
    assert [entry.line.fid for entry in journal.scores("run")] == [rows[0].fid] * 2


def test_a_score_that_the_database_does_not_get_is_in_the_journal(
    make: Make, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(_row: ScoreRow) -> None:
        raise RendezvousUnavailable("the database is away")

    scorer = make(away)
    scorer.score(snapshot(3))
    assert scorer._free.wait(WITHIN_S)
    assert [entry.line.version for entry in journal.scores("run")] == [3]
    assert "that of version 3 is in the journal alone: the database is away" in capsys.readouterr().out


def test_an_extractor_that_fails_ends_the_scores_and_nothing_else(
    make: Make, inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_images: Tensor) -> Tensor:
        raise ValueError("no")

    scorer = make(lambda _: None, Extractor("mine", "d", broken, None))
    scorer.score(snapshot(3))
    scorer._thread.join(WITHIN_S)
    assert not scorer.free
    assert "no version is scored any more: the extractor mine fails" in capsys.readouterr().out
    assert inbox.empty()


def test_a_defect_ends_the_peer(make: Make, inbox: Inbox) -> None:
    def defect(_row: ScoreRow) -> None:
        raise ZeroDivisionError

    make(defect).score(snapshot(3))
    told = inbox.get(timeout=WITHIN_S)
    assert isinstance(told, ThreadDied)
    assert isinstance(told.error, ZeroDivisionError)


def test_the_end_does_not_wait_for_a_score(make: Make) -> None:
    scorer = make(lambda _: pytest.fail("it was dropped"))
    scorer._ended.set()
    scorer.score(snapshot(3))
    scorer.end(WITHIN_S)
    assert not scorer._thread.is_alive()
