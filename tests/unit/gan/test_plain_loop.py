"""The trainer's shortcuts (one vector, fused Adam, one pass of G) are the mathematics of the plain loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.nn.utils import parameters_to_vector

from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.models import build
from p2pgan.gan.randomness import epoch_permutation, microbatch_latents
from p2pgan.gan.trainer import Trainer

STEPS = 4


def slope(logits: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def plain_loop(config: GanConfig, images: ImageSet) -> tuple[list[tuple[float, float]], Tensor]:
    """Losses of D and G, step by step, and the weights in the end: as a tutorial trains a GAN."""
    g, d = build(config.model, config.seed)
    settings = config.optimizer
    adam_g = torch.optim.Adam(g.parameters(), settings.lr_g, (settings.beta1, settings.beta2))
    adam_d = torch.optim.Adam(d.parameters(), settings.lr_d, (settings.beta1, settings.beta2))
    order, size, losses = epoch_permutation(config.seed, 0, images.count), config.step_images, []
    for step in range(STEPS):
        start, stop = step * size, (step + 1) * size
        real = images.batch(order[start:stop]).float().div(127.5).sub(1.0).requires_grad_()
        latents = microbatch_latents(config.seed, 0, start, size, config.model.latent_dim)
        logits = d(real)
        loss_d = softplus(-logits).mean() + softplus(d(g(latents).detach())).mean()
        total = loss_d
        if step % config.loss.r1_every == 0:
            total = total + slope(logits, real) * (config.loss.r1_gamma / 2 * config.loss.r1_every)
        adam_d.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        adam_d.step()
        loss_g = softplus(-d(g(latents))).mean()
        adam_g.zero_grad()
        loss_g.backward()  # type: ignore[no-untyped-call]  # as above
        adam_g.step()
        losses.append((loss_d.item(), loss_g.item()))
    return losses, parameters_to_vector([*g.parameters(), *d.parameters()]).detach()


def test_losses_and_weights_are_those_of_the_plain_loop(config: GanConfig, images: ImageSet):
    losses, theta = plain_loop(config, images)
    trainer = Trainer(config, images)
    size = config.step_images
    for step, (loss_d, loss_g) in enumerate(losses):
        stats = trainer.train_microbatch(0, step * size, (step + 1) * size)
        assert (stats.loss_d, stats.loss_g) == pytest.approx((loss_d, loss_g), rel=1e-4), step
    start = torch.cat(
        [parameters_to_vector(n.parameters()).detach() for n in build(config.model, config.seed)]
    )
    moved = (theta - start).norm()
    assert (trainer.theta() - theta).norm() < 1e-3 * moved
