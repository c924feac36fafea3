"""Penalties on the discriminator that keep the game stable. All are computed in float32."""

from __future__ import annotations

import torch
from torch import Tensor


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """Mean squared norm of dD/dx at real images (Mescheder et al., 2018), a float32 scalar.

    ``real_images`` must require a gradient and ``real_logits`` come from them. The caller scales:
    gamma / 2, times the interval when it is applied lazily (Karras et al., 2020). At drawn images in
    place of real ones it is R2.
    """
    return _gradient(real_logits, real_images).square().sum(dim=(1, 2, 3)).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared distance from 1 of the norm of dD/dx (Gulrajani et al., 2017), a float32 scalar.

    ``images`` lie between real and drawn ones, see ``between``.
    """
    # Squared sums can be zero, where the root has no derivative.
    norms = _gradient(logits, images).square().sum(dim=(1, 2, 3)).clamp_min(1e-12).sqrt()
    return (norms - 1).square().mean()


def between(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """``shares`` (n,) of the way from each real image to a drawn one; the result requires a gradient."""
    return torch.lerp(real, fake, shares.view(-1, 1, 1, 1)).detach().requires_grad_()


def _gradient(logits: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float()
