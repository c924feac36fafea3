"""The kernel distance between two sets of features (Binkowski et al., 2018), and how sure it is."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.gan.randomness import generator_for

DEGREE = 3
SUBSETS = 100
SUBSET_SIZE = 1000
REPLICATES = 200
"""Bootstrap samples."""
LEVEL = 0.95
MOST_RESAMPLED = 10_000
"""Images of each side that a bootstrap looks at: all pairs of them are compared."""
ROWS = 1000
"""Of a kernel matrix at once."""


def kernel_distance(drawn: Tensor, real: Tensor, seed: int) -> float:
    """The mean of the unbiased MMD^2 over subsets of features ``(n, d)`` and ``(m, d)``.

    The kernel is ``(x y / d + 1)^3``. 100 pairs of subsets of 1,000 images are drawn by ``seed``; of a
    smaller set all images are in each. At least two rows each. Around zero where both sets are
    from one distribution, so it may be below zero. In float64.
    """
    x, y = drawn.double(), real.double()
    if max(len(x), len(y)) <= SUBSET_SIZE:
        return _unbiased_mmd2(x, y)
    source = generator_for(seed, "KID subsets")

    def subset(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=source)[:SUBSET_SIZE]]

    return sum(_unbiased_mmd2(subset(x), subset(y)) for _ in range(SUBSETS)) / SUBSETS


def bootstrap_interval(drawn: Tensor, real: Tensor, seed: int) -> tuple[float, float]:
    """Between which values 95% of the unbiased MMD^2 lie if both sets are drawn anew from themselves.

    Pairs of an image with itself count no more than in the estimate itself, that is not at all; otherwise
    the repetitions in each bootstrap sample would move all of them upwards.
    """
    x, y = drawn[:MOST_RESAMPLED].double(), real[:MOST_RESAMPLED].double()
    source = generator_for(seed, "KID bootstrap")
    times_x, times_y = _resampled(len(x), source), _resampled(len(y), source)
    replicates = (
        _weighted_sum(x, times_x, x, times_x, among_itself=True) / _pairs(times_x)
        + _weighted_sum(y, times_y, y, times_y, among_itself=True) / _pairs(times_y)
        - 2 * _weighted_sum(x, times_x, y, times_y) / (len(x) * len(y))
    )
    tail = (1 - LEVEL) / 2
    low, high = replicates.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1).pow(DEGREE)


def _unbiased_mmd2(x: Tensor, y: Tensor) -> float:
    return float(_mean_of_pairs(_kernel(x, x)) + _mean_of_pairs(_kernel(y, y)) - 2 * _kernel(x, y).mean())


def _mean_of_pairs(kernel: Tensor) -> Tensor:
    """The mean of a square matrix without its diagonal."""
    count = len(kernel)
    return (kernel.sum() - kernel.trace()) / (count * (count - 1))


def _resampled(count: int, source: torch.Generator) -> Tensor:
    """How often each image is in each bootstrap sample: float64 ``(REPLICATES, count)``."""
    drawn = torch.randint(count, (REPLICATES, count), generator=source)
    return torch.zeros(REPLICATES, count, dtype=torch.float64).scatter_add_(
        1, drawn, torch.ones_like(drawn, dtype=torch.float64)
    )


def _pairs(times: Tensor) -> Tensor:
    """How many ordered pairs of two different images each sample has: ``(REPLICATES,)``."""
    return times.sum(1).square() - times.square().sum(1)


def _weighted_sum(
    x: Tensor, times_x: Tensor, y: Tensor, times_y: Tensor, among_itself: bool = False
) -> Tensor:
    """For each sample the sum of the kernel over its pairs, ``(REPLICATES,)``, some rows at a time."""
    total = torch.zeros(len(times_x), dtype=torch.float64)
    for start in range(0, len(x), ROWS):
        kernel = _kernel(x[start : start + ROWS], y)
        if among_itself:
            kernel.diagonal(start).zero_()
        total += (times_x[:, start : start + ROWS] @ kernel).mul_(times_y).sum(1)
    return total
