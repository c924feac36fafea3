"""Rules that look at each coordinate apart: trimmed mean and median.

Yin et al., "Byzantine-robust distributed learning: towards optimal statistical rates", 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.means import Vectors, Weights


def trimmed(count: int) -> int:
    """How many values the trimmed mean of ``count`` drops at each end: fewer than a third."""
    return (count - 1) // 3


def trimmed_mean(vectors: Vectors, weights: Weights) -> Tensor:
    """For each coordinate the weighted mean without the largest and the smallest values.

    Of n contributors fewer than n / 3 are dropped at each end. If no more than those are hostile,
    every value that is left lies between two honest ones.
    """
    values = torch.stack(list(vectors))
    ends = trimmed(len(vectors))
    order = torch.argsort(values, dim=0, stable=True)[ends : len(vectors) - ends]
    shares = torch.tensor(weights, dtype=torch.float32)[order]
    shares /= shares.sum(dim=0)
    return (torch.gather(values, 0, order) * shares).sum(dim=0)


def coordinate_median(vectors: Vectors, weights: Weights) -> Tensor:
    """For each coordinate the middle value, or halfway between the two in the middle.

    While fewer than half of the contributors are hostile it lies between two honest values. Every
    contributor counts once, whatever its images: else whoever is given more work than all others
    together would be the median.
    """
    values = torch.stack(list(vectors)).sort(dim=0).values
    low, high = values[(len(vectors) - 1) // 2], values[len(vectors) // 2]
    return low * 0.5 + high * 0.5
