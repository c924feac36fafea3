"""One pass over a tensor that tells whether it holds only finite numbers, and how large they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def magnitude(tensor: Tensor) -> float:
    """The largest absolute value; NaN or infinite if an element is. Needs no temporary."""
    if tensor.numel() == 0:
        return 0.0
    low, high = torch.aminmax(tensor)  # a NaN is both
    return max(-low.item(), high.item())


def is_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    return math.isfinite(magnitude(tensor))
