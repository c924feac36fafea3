"""The training thread: what it reports when steps fail, and where it goes back to."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from p2pgan.gan.config import parse_config
from p2pgan.gan.data import ImageSet
from p2pgan.gan.trainer import Trainer
from p2pgan.peer.inbox import ContributionReady, Inbox, Item, SpanTrained, TrainingNoticed
from p2pgan.peer.learning import Moves
from p2pgan.peer.training import TrainingThread
from p2pgan.protocol.ids import Span
from tests.unit.gan.conftest import one_thread

__all__ = ["one_thread"]

CONFIG = parse_config(
    {
        "model": {"width": 8, "latent_dim": 8},
        "microbatch": 8,
        "accumulate": 2,
        "schedule": {"name": "step", "images": 1000, "factor": 0.5},
    }
)
WITHIN_S = 60.0


@pytest.fixture
def trainer() -> Trainer:
    noise = np.random.default_rng(1).integers(0, 256, (600, 3, 32, 32), dtype=np.uint8)
    return Trainer(CONFIG, ImageSet(noise))


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def thread(trainer: Trainer, inbox: Inbox) -> Iterator[TrainingThread]:
    training = TrainingThread(trainer, Moves(trainer), inbox)
    training.start()
    yield training
    training.end(WITHIN_S)


def until_contribution(inbox: Inbox) -> list[Item]:
    items: list[Item] = []
    while not items or not isinstance(items[-1], ContributionReady):
        try:
            items.append(inbox.get(timeout=WITHIN_S))
        except queue.Empty:
            pytest.fail(f"no contribution after {items}")
    return items


def test_spans_are_cut_into_whole_steps_and_looked_at_every_512_images(
    thread: TrainingThread, trainer: Trainer, inbox: Inbox
) -> None:
    thread.train(1, (Span(0, 0, 0, 40), Span(0, 0, 40, 512)), trainer.theta(), 0, 2000)
    first, second, ready = until_contribution(inbox)
    assert isinstance(first, SpanTrained)
    assert isinstance(second, SpanTrained)
    assert isinstance(ready, ContributionReady)
    assert (first.stats.images, second.stats.images) == (40, 472)
    assert first.stats.diversity is None
    assert second.stats.diversity is not None
    assert trainer._images_counted == 2000


def test_failing_steps_go_back_to_the_version_and_are_said(
    thread: TrainingThread, trainer: Trainer, inbox: Inbox
) -> None:
    broken = trainer.theta()
    broken[trainer.layout.slice_of("D")] = 1e30
    thread.train(1, (Span(0, 0, 0, 64),), broken, 0, 0)
    noticed, trained, ready = until_contribution(inbox)
    assert isinstance(noticed, TrainingNoticed)
    assert "back to the last version" in noticed.text
    assert isinstance(trained, SpanTrained)
    assert trained.stats.skipped == 4
    assert isinstance(ready, ContributionReady)
    assert ready.contribution.abs().max() == 0, "nothing that is not finite leaves this peer"


def test_a_contribution_tells_how_healthy_its_training_was(
    trainer: Trainer, inbox: Inbox, thread: TrainingThread
) -> None:
    thread.train(1, (Span(0, 0, 0, 600),), trainer.theta(), 0, 0)
    done = until_contribution(inbox)[-1]
    assert isinstance(done, ContributionReady)
    assert done.losses is not None
    told = done.losses.signals
    assert told is not None
    assert told.grad_g > 0 and told.grad_d > 0 and -1 <= told.sign_real <= 1
    assert told.diversity is not None and told.r1 is not None
    assert done.losses.agreement is None, "there is no mean yet"


def ready(inbox: Inbox) -> ContributionReady:
    last = until_contribution(inbox)[-1]
    assert isinstance(last, ContributionReady)
    return last


def test_training_ahead_goes_on_on_top_of_the_version_that_has_what_came_before(
    thread: TrainingThread, trainer: Trainer, inbox: Inbox
) -> None:
    base = trainer.theta()
    thread.train(1, (Span(0, 0, 0, 32),), base, 0, 0)
    first = ready(inbox)
    thread.train_ahead(2, (Span(0, 0, 32, 64),))
    second = ready(inbox)
    torch.testing.assert_close(trainer.theta(), base + first.contribution + second.contribution)

    version = torch.randn(base.shape, generator=torch.Generator().manual_seed(1))
    thread.rebase(version, 64, counted=True)
    thread.train_ahead(3, (Span(0, 0, 64, 96),))
    third = ready(inbox)

    torch.testing.assert_close(trainer.theta(), version + second.contribution + third.contribution)
    assert (first.ticket, second.ticket, third.ticket) == (1, 2, 3)


def test_a_straggler_keeps_all_it_trained_and_may_train_something_else_ahead(
    thread: TrainingThread, trainer: Trainer, inbox: Inbox
) -> None:
    base = trainer.theta()
    thread.train(1, (Span(0, 0, 0, 32),), base, 0, 0)
    first = ready(inbox)
    thread.train_ahead(2, (Span(0, 0, 32, 64),))
    ready(inbox)
    version = base + 1
    thread.rebase(version, 64, counted=False)
    thread.train_ahead(3, (Span(0, 0, 64, 96),))
    third = ready(inbox)

    torch.testing.assert_close(trainer.theta(), version + first.contribution + third.contribution)
