"""The Frechet distance between two sets of features (Heusel et al., 2017), each taken for a Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(drawn: Tensor, real: Tensor) -> float:
    """``|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))`` of features ``(n, d)`` and ``(m, d)``.

    At least two rows each; the covariances have n - 1 in their denominator. In float64.
    """
    return gaussian_distance(*_moments(drawn), *_moments(real))


def gaussian_distance(mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor) -> float:
    """The same of two Gaussians: float64, means ``(d,)``, covariances ``(d, d)``.

    The eigenvalues of ``S1 S2`` are the squares of the singular values of ``S1^(1/2) S2^(1/2)``. So the
    trace of the root is their sum: no product is squared and no root of a rounding error is taken, which
    matters where there are fewer images than features and most eigenvalues are zero.
    """
    overlap = torch.linalg.svdvals(_root(covariance_1) @ _root(covariance_2)).sum()
    apart = (mean_1 - mean_2).square().sum()
    distance = apart + covariance_1.trace() + covariance_2.trace() - 2 * overlap
    return max(0.0, float(distance))


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(d,)`` and covariance ``(d, d)``, also of a single feature."""
    values = features.double()
    mean = values.mean(dim=0)
    centred = values - mean
    return mean, centred.T @ centred / (len(values) - 1)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric root; what is below zero is a rounding error."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return root
