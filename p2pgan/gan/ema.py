"""The running average of the generator, from which images are drawn."""

from __future__ import annotations

import torch
from torch import Tensor

RAMP = 0.1
"""The half-life is at most this share of the images seen: a young average must forget its start."""


def half_life_at(images: int, half_life: float) -> float:
    """The half-life in images when ``images`` have been counted over the whole run."""
    return min(half_life, max(1.0, RAMP * images))


def ema_update(ema: Tensor, generator_vector: Tensor, images: int, half_life: float) -> Tensor:
    """``ema``, moved towards the generator's vector; all float32, shape ``(g,)``, the outcome fresh.

    The pace is counted in images, not in calls: ``beta = 0.5 ** (images / half_life)``. Products
    and the sum are rounded one by one, so that every peer has the same bits (a snapshot's chunks
    are named by their content).
    """
    beta = torch.tensor(0.5 ** (images / half_life), dtype=torch.float32, device=ema.device)
    moved = ema * beta
    moved.add_(generator_vector * (1 - beta))
    return moved
