"""The small bench of quality: four peers that average find the ring, and a way that is wrong does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from p2pgan.gan.data import ImageSet
from scripts.quality.ring import (
    DEVIATION,
    MODES,
    Found,
    found,
    ring,
    train,
)
from scripts.quality.swarm import AT_THE_END, CLEAN, GRADIENTS, ONE, Arm


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return ring()


def test_the_ring_itself_is_found_and_points_anywhere_are_not(images: ImageSet) -> None:
    real = images.batch(torch.arange(images.count)).numpy()
    assert found(real).modes == MODES
    assert found(real).near == pytest.approx(0.989, abs=0.01), "of a Gaussian, within three deviations"
    assert found(real[: images.count // 2]).modes == MODES // 2
    anywhere = np.random.default_rng(1).integers(0, 256, (1000, 3, 1, 1), dtype=np.uint8)
    assert found(anywhere).near < 2 * MODES * np.pi * (3 * DEVIATION) ** 2 / 4
    assert not found(anywhere).is_ring
    assert not Found(MODES - 2, 0.9).is_ring


@pytest.fixture(scope="module")
def alone(images: ImageSet) -> Found:
    torch.set_num_threads(1)
    return train(ONE, images, seed=1)


@pytest.mark.parametrize("arm", [GRADIENTS, CLEAN], ids=lambda arm: arm.name)
def test_four_peers_find_the_ring_and_not_worse_than_one(arm: Arm, images: ImageSet, alone: Found) -> None:
    result = train(arm, images, seed=1)
    assert result.is_ring, result
    assert result.near > alone.near - 0.1, (result, alone)


def test_peers_that_average_once_at_the_end_do_not_find_it(images: ImageSet) -> None:
    result = train(AT_THE_END, images, seed=1)
    assert not result.is_ring, result


def test_the_seed_decides_what_is_found(images: ImageSet) -> None:
    assert train(CLEAN, images, seed=1, steps=40) == train(CLEAN, images, seed=1, steps=40)
    assert train(CLEAN, images, seed=1, steps=40) != train(CLEAN, images, seed=2, steps=40)
