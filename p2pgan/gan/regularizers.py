"""Penalties on the discriminator that keep the game stable."""

from __future__ import annotations

import torch
from torch import Tensor


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """Mean squared norm of dD/dx at real images (Mescheder et al., 2018), a float32 scalar.

    ``real_images`` must require a gradient and ``real_logits`` come from them. The caller scales:
    gamma / 2, times the interval when it is applied lazily (Karras et al., 2020).
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()
