"""Adversarial losses on logits: what each network lowers."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Cross entropy of calling real images real and drawn ones drawn, a scalar.

    ``softplus(x) = -log(1 - sigmoid(x))``, which does not overflow for confident logits.
    """
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """The non-saturating loss ``-log D(G(z))`` of Goodfellow et al. (2014), a scalar."""
    return softplus(-fake_logits).mean()
