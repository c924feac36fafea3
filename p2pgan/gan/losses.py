"""Adversarial losses on logits: what each network lowers.

``real`` and ``fake`` are logits of real and drawn images, float32, shape ``(n,)``; a loss is a scalar,
the mean over the images, so that a batch in parts has the mean of its parts' gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus


@dataclass(frozen=True)
class Loss:
    """The two sides of one game."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """Of ``(real, fake)``."""
    generator: Callable[[Tensor, Tensor | None], Tensor]
    """Of ``(fake, real)``; ``real`` is None unless the loss is paired."""
    paired: bool = False
    """Whether the generator is judged against real images too."""


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Cross entropy of calling real images real and drawn ones drawn.

    ``softplus(x) = -log(1 - sigmoid(x))``, which does not overflow for confident logits.
    """
    return softplus(-real).mean() + softplus(fake).mean()


def generator_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The non-saturating loss ``-log D(G(z))`` of Goodfellow et al. (2014)."""
    return softplus(-fake).mean()


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Nothing is gained beyond a margin of one (Lim and Ye, 2017; Miyato et al., 2018)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Minus the difference of means, an estimate of the Wasserstein distance (Arjovsky et al., 2017)."""
    return fake.mean() - real.mean()


def raising_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The generator's side of hinge and Wasserstein: raise the logits of drawn images."""
    return -fake.mean()


def paired_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Each real image against one drawn image (relativistic pairing, Jolicoeur-Martineau, 2019)."""
    return softplus(fake - real).mean()


def paired_generator_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The same the other way round. ``real`` are the logits of the images it is paired with."""
    assert real is not None
    return softplus(real - fake).mean()


LOSSES: Mapping[str, Loss] = {
    "bce": Loss(discriminator_loss, generator_loss),
    "hinge": Loss(hinge_discriminator_loss, raising_loss),
    "wgan-gp": Loss(critic_loss, raising_loss),
    "rp": Loss(paired_discriminator_loss, paired_generator_loss, paired=True),
}
