"""What the members of bench_averaging.py average."""

from __future__ import annotations

import torch
from torch import Tensor


def own_vector(place: int, elements: int) -> Tensor:
    """Numbers like those of a delta, others for each member: float32, small, of no pattern."""
    return torch.randn(elements, generator=torch.Generator().manual_seed(place)).mul_(1e-3)
