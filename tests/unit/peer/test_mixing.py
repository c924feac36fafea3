"""Mixing with tensors: it moves weights, and never what is contributed."""

from __future__ import annotations

import random
from typing import cast

import pytest
import torch
from torch import Tensor

from p2pgan.gan.trainer import StepStats, Trainer
from p2pgan.peer.learning import FARTHEST, Moves
from p2pgan.protocol.mixing import groups, push_sum_weights

ELEMENTS = 50


class Walker:
    """What ``Moves`` needs of a trainer; each step goes a random way."""

    def __init__(self, seed: int) -> None:
        self._draw = torch.Generator().manual_seed(seed)
        self.weights = torch.zeros(ELEMENTS)
        self.walked = torch.zeros(ELEMENTS)
        self.pace, self.device_batch = 1.0, 8

    def load(self, theta: Tensor) -> None:
        self.weights = theta.clone()

    def rebase(self, old_base: Tensor, new_base: Tensor) -> None:
        self.weights = self.weights - old_base + new_base

    def move(self, by: Tensor) -> None:
        self.weights = self.weights + by

    def theta(self) -> Tensor:
        return self.weights.clone()

    def train_microbatch(self, epoch: int, start: int, stop: int) -> StepStats:
        way = torch.randn(ELEMENTS, generator=self._draw)
        self.walked += way
        self.weights = self.weights + way
        return StepStats(stop - start, 0.0, 0.0, 0.0, 0.0, None, finite=True)


class Walk:
    def __init__(self, seed: int, base: Tensor) -> None:
        self.walker = Walker(seed)
        self.moves = Moves(cast(Trainer, self.walker))
        self.moves.start(base, 0)

    def go(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.moves.step(0, 0, 8, 8, lambda part: None)


def test_a_contribution_is_what_its_peer_learned_whatever_was_mixed() -> None:
    base, other = torch.randn(ELEMENTS), torch.randn(ELEMENTS)
    walk = Walk(1, base)
    walk.go(3)
    mine = walk.moves.deviation(1)
    walk.moves.mix(1, other, 0.25)
    torch.testing.assert_close(walk.walker.weights, base + 0.75 * mine + 0.25 * other)
    walk.go(2)

    torch.testing.assert_close(walk.moves.finish(), walk.walker.walked)


def test_what_was_mixed_goes_with_the_version_it_was_mixed_on() -> None:
    base, version = torch.randn(ELEMENTS), torch.randn(ELEMENTS)
    walk = Walk(1, base)
    walk.go(2)
    walk.moves.finish()
    walk.moves.start_ahead()
    walked = walk.walker.walked.clone()
    walk.moves.deviation(1)
    walk.moves.mix(1, torch.randn(ELEMENTS), 0.5)
    walk.go(2)

    walk.moves.rebase(version, counted=True)

    torch.testing.assert_close(walk.walker.weights, version + walk.walker.walked - walked)
    torch.testing.assert_close(walk.moves.finish(), walk.walker.walked - walked)


def test_a_step_that_this_peer_has_not_shared_is_not_mixed() -> None:
    walk = Walk(1, torch.zeros(ELEMENTS))
    walk.go()
    before = walk.walker.weights
    walk.moves.mix(1, torch.ones(ELEMENTS), 0.5)
    walk.moves.deviation(2)
    walk.moves.mix(1, torch.ones(ELEMENTS), 0.5)
    walk.moves.rebase(torch.ones(ELEMENTS), counted=False)
    walk.moves.mix(2, torch.ones(ELEMENTS), 0.5)

    torch.testing.assert_close(walk.walker.weights, before + 1)


def test_a_hostile_deviation_moves_a_peer_by_no_more_than_some_of_its_own() -> None:
    walk = Walk(1, torch.zeros(ELEMENTS))
    walk.go()
    mine = walk.moves.deviation(1)
    walk.moves.mix(1, 1e6 * torch.ones(ELEMENTS), 0.5)

    assert walk.walker.weights.norm() <= (0.5 + 0.5 * FARTHEST) * mine.norm() * 1.001


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_mixing_keeps_the_weighted_mean_and_brings_peers_close(loss: float) -> None:
    """Nine peers of unequal work, by rows and columns; what is lost costs closeness, never the mean."""
    draw = random.Random(1)
    base = torch.randn(ELEMENTS)
    walks = {f"p{number}": Walk(number, base) for number in range(9)}
    order = list(walks)
    images = {peer: draw.randint(1, 400) for peer in order}
    for walk in walks.values():
        walk.go(3)
    apart = spread(walks)
    for step in (1, 2):
        deviations = {peer: walk.moves.deviation(step) for peer, walk in walks.items()}
        weights = push_sum_weights(order, images, step)
        for group in groups(order, step):
            total = sum(weights[peer] for peer in group)
            for to in group:
                for sender in group:
                    if sender != to and draw.random() >= loss:
                        walks[to].moves.mix(step, deviations[sender], weights[sender] / total)

    assert spread(walks) < (1e-5 if loss == 0 else 0.7) * apart
    contributed = sum(images[peer] * walk.moves.finish() for peer, walk in walks.items())
    learned = sum(images[peer] * walk.walker.walked for peer, walk in walks.items())
    torch.testing.assert_close(
        contributed / sum(images.values()), learned / sum(images.values()), atol=1e-6, rtol=0
    )


def spread(walks: dict[str, Walk]) -> float:
    everyone = torch.stack([walk.walker.weights for walk in walks.values()])
    return (everyone - everyone.mean(0)).norm().item()
