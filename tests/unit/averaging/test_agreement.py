from __future__ import annotations

from math import isnan, sqrt

import pytest
import torch

from p2pgan.averaging.agreement import LARGE, Comparison
from p2pgan.averaging.blocks import blocks


def agreement_of(contribution: torch.Tensor, mean: torch.Tensor) -> tuple[float, float]:
    comparison = Comparison(contribution)
    comparison.look(0, mean)
    return comparison.agreement()


@pytest.mark.parametrize(
    ("contribution", "mean", "cosine", "drift"),
    [
        ([3.0, 4.0], [3.0, 4.0], 1.0, 0.0),
        ([-3.0, -4.0], [3.0, 4.0], -1.0, 2.0),
        ([2.0, 0.0], [1.0, 1.0], sqrt(0.5), 1.0),
        ([6.0, 8.0], [3.0, 4.0], 1.0, 1.0),
    ],
)
def test_cosine_and_distance(
    contribution: list[float], mean: list[float], cosine: float, drift: float
) -> None:
    assert agreement_of(torch.tensor(contribution), torch.tensor(mean)) == pytest.approx((cosine, drift))


def test_blocks_come_to_the_same_as_the_whole() -> None:
    contribution, mean = torch.randn(2, 1000, generator=torch.Generator().manual_seed(2))
    comparison = Comparison(contribution)
    for start in (0, 400, 800):
        comparison.look(start, mean[start : start + 400])
    assert comparison.agreement() == pytest.approx(agreement_of(contribution, mean))


def test_without_a_length_there_is_none() -> None:
    nothing, something = torch.zeros(3), torch.ones(3)
    assert all(isnan(v) for v in (*agreement_of(nothing, something), *agreement_of(something, nothing)))


def test_rounding_makes_no_negative_distance() -> None:
    vector = torch.randn(100_000, generator=torch.Generator().manual_seed(1))
    cosine, drift = agreement_of(vector, vector * (1 + 1e-7))
    assert cosine == pytest.approx(1.0)
    assert 0 <= drift < 1e-2


def test_a_part_of_a_large_vector_tells_nearly_the_same() -> None:
    source = torch.Generator().manual_seed(3)
    mean = torch.randn(LARGE + 5000, generator=source)
    contribution = mean / 2 + torch.randn(len(mean), generator=source)
    exact = (
        torch.cosine_similarity(contribution, mean, dim=0).item(),
        ((contribution - mean).norm() / mean.norm()).item(),
    )

    comparison = Comparison(contribution)
    for block in blocks(len(mean)):
        comparison.look(block.start, mean[block])

    assert comparison.agreement() == pytest.approx(exact, abs=0.01)
    assert comparison.agreement() != pytest.approx(exact, abs=1e-6), "not all of it was looked at"


@pytest.mark.parametrize("period", [64 * 3 * 3, 512, 1024, 4096, 64 * 4 * 4])
def test_filters_whose_channels_differ_are_looked_at_all_over(period: int) -> None:
    """Sizes of filters divide powers of two: a part of such stretches would be the same channels of each."""
    source = torch.Generator().manual_seed(4)
    mean = torch.randn(2 * LARGE, generator=source)
    agrees = torch.arange(len(mean)) % period < period // 4
    contribution = torch.where(agrees, mean, -mean)

    comparison = Comparison(contribution)
    for block in blocks(len(mean)):
        comparison.look(block.start, mean[block])

    assert comparison.agreement()[0] == pytest.approx(-0.5, abs=0.05)
