"""The running average of the generator, from which images are drawn."""

from __future__ import annotations

import torch
from torch import Tensor


def ema_update(ema: Tensor, generator_vector: Tensor, images: int, half_life: float) -> None:
    """Moves ``ema`` in place towards the generator's vector; both float32, shape ``(g,)``.

    The pace is counted in images, not in calls: ``beta = 0.5 ** (images / half_life)``. Products
    and the sum are rounded one by one, so that every peer has the same bits (a snapshot's chunks
    are named by their content).
    """
    beta = torch.tensor(0.5 ** (images / half_life), dtype=torch.float32, device=ema.device)
    ema.mul_(beta)
    ema.add_(generator_vector * (1 - beta))
