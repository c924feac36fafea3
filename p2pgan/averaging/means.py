"""Means of what contributors sent: plain, and with the norms clipped at the group's median pace.

All rules take 1-D float32 vectors of equal length, in the order of their peers' ids, and the images
each covers; all return a fresh vector of that length.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor

Vectors = Sequence[Tensor]
Weights = Sequence[int]


def weighted_mean(vectors: Vectors, weights: Weights) -> Tensor:
    """Each vector counts by its images. A single vector comes out exactly. Stands up to nobody."""
    return combination(vectors, shares(weights))


def shares(weights: Weights) -> list[float]:
    """Of each, by its images; they add up to one."""
    total = sum(weights)
    return [weight / total for weight in weights]


def clipped_mean(vectors: Vectors, weights: Weights) -> Tensor:
    """The weighted mean after each vector was shortened, if need be, to the group's median pace.

    A vector's pace is its norm divided by its images. The norm of a delta grows with the steps in it
    (measured on the nets here: with their power of about 0.75), and the leader assigned the images.
    Clipping norms as they are would shorten who is given more work because it is faster; this
    shortens somewhat who is given little, and so counts little anyway. Directions stay.

    While fewer than half of the contributors are hostile the median pace is at most that of the
    fastest-moving honest one: none moves the mean further than an honest one with as many images
    could. That bounds harm; a sign flip within the bound still counts. Sun et al., "Can you really
    backdoor federated learning?", 2019, clip at a fixed norm; the median follows the training.
    """
    total = sum(weights)
    paces = [norm(vector) / weight for vector, weight in zip(vectors, weights, strict=True)]
    limit = median(paces)
    return combination(
        vectors,
        [w / total * shortening(pace, limit) for w, pace in zip(weights, paces, strict=True)],
    )


def combination(vectors: Vectors, factors: Sequence[float]) -> Tensor:
    """The sum of the vectors times their factors, added in order."""
    result = vectors[0] * factors[0]
    for vector, factor in zip(vectors[1:], factors[1:], strict=True):
        result.add_(vector, alpha=factor)  # perhaps fused: whose sum it is, encodes it once for everyone
    return result


def norm(vector: Tensor) -> float:
    """The Euclidean norm. In float64: squares of what a hostile peer sends overflow float32."""
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))


def shortening(length: float, limit: float) -> float:
    """The factor, at most 1, that brings ``length`` down to ``limit``."""
    return 1.0 if length <= limit else limit / length
