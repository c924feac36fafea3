"""The outer optimizer: from the mean of the members' deltas to the next canonical vector."""

from __future__ import annotations

import torch
from torch import Tensor


def outer_step(theta: Tensor, mean: Tensor, alpha: float) -> Tensor:
    """``theta + alpha * mean`` as a fresh float32 CPU vector, the same bits on every machine.

    Product and sum are two operations, each rounded to float32 as IEEE 754 says. Written as one
    (``torch.add(theta, mean, alpha=alpha)``) they may be fused on one machine and not on another,
    and the members' digests would differ.
    """
    step = torch.mul(mean, torch.tensor(alpha, dtype=torch.float32))
    return torch.add(theta, step)
