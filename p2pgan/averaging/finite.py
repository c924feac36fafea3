"""One pass that tells whether a tensor holds only finite numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def is_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite. Needs no temporary: the extremes carry NaN along."""
    if tensor.numel() == 0:
        return True
    low, high = torch.aminmax(tensor)
    return math.isfinite(low.item()) and math.isfinite(high.item())
