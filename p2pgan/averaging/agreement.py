"""How a contribution stands to the mean that it went into."""

from __future__ import annotations

import torch
from torch import Tensor


def agreement_of(contribution: Tensor, mean: Tensor) -> tuple[float, float]:
    """Cosine between them, and their distance in lengths of the mean; both are float32 ``(P,)``.

    NaN where one of them has no length.
    """
    own = torch.dot(contribution, contribution).item()
    common = torch.dot(mean, mean).item()
    if not own or not common:
        return float("nan"), float("nan")
    product = torch.dot(contribution, mean).item()
    # |a - b|^2 = a a - 2 a b + b b; rounding may leave it a little below zero.
    distance: float = max(0.0, own - 2 * product + common)
    return product / (own * common) ** 0.5, (distance / common) ** 0.5
