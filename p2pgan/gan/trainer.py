"""Trains the pair of networks, one microbatch at a time.

A microbatch is named by its place in an epoch and depends on nothing else but the weights: the
images, the noise and whether R1 is applied follow from the configuration and that place.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adam import adam

from p2pgan.averaging.finite import is_finite
from p2pgan.averaging.flatten import Layout, bind, check_vector, flatten, layout_of
from p2pgan.errors import ConfigError, InternalError
from p2pgan.gan.config import GanConfig, OptimizerConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.losses import discriminator_loss, generator_loss
from p2pgan.gan.models import build
from p2pgan.gan.randomness import epoch_permutation, microbatch_latents
from p2pgan.gan.regularizers import r1_penalty

EPSILON = 1e-8
"""Adam's, as in the paper."""


@dataclass(frozen=True)
class StepStats:
    """What one microbatch showed; means over its images."""

    images: int
    loss_g: float
    loss_d: float
    """Without the R1 penalty."""
    d_real: float
    """D(x), as a probability."""
    d_fake: float
    """D(G(z)) before the discriminator's step, as a probability."""
    r1: float | None
    """The squared gradient norm, where it was computed."""
    finite: bool
    """False if a loss or gradient was not: that step was left out and the weights kept."""


class Trainer:
    """Local weights, their optimizers, and the images they learn from.

    All parameters are views of one flat vector, and Adam sees one parameter per network, so taking
    and loading weights is a single copy. Every method takes a lock: a training thread and the
    thread that averages may both call it, and each sees the weights between two microbatches.
    """

    def __init__(self, config: GanConfig, images: ImageSet, device: torch.device | str = "cpu") -> None:
        """Raises ConfigError if the images are not of the configured resolution."""
        if images.resolution != config.model.resolution:
            raise ConfigError(
                f"the images are {images.resolution} px but the model is {config.model.resolution} px"
            )
        self.config = config
        self.images = images
        self.device = torch.device(device)
        self._lock = threading.Lock()
        generator, discriminator = build(config.model, config.seed)
        self.layout: Layout = layout_of(generator, discriminator)
        initial = flatten(self.layout, generator, discriminator)
        self._generator = generator.to(self.device)
        self._discriminator = discriminator.to(self.device)
        self._theta = initial.to(self.device, copy=True)
        self._gradient = torch.zeros_like(self._theta)
        bind(self.layout, self._theta, self._gradient, self._generator, self._discriminator)
        g, d = self.layout.slice_of("G"), self.layout.slice_of("D")
        settings = config.optimizer
        self._step_g = _FlatAdam(self._theta[g], self._gradient[g], settings, settings.lr_g)
        self._step_d = _FlatAdam(self._theta[d], self._gradient[d], settings, settings.lr_d)

    def theta(self) -> Tensor:
        """A fresh copy of the weights: the canonical vector, CPU, float32."""
        with self._lock:
            return self._theta.to("cpu", copy=True)

    def load(self, theta: Tensor) -> None:
        """Replaces the weights; the optimizers' moments stay. Raises WeightsError for another layout."""
        check_vector(self.layout, theta)
        with self._lock:
            self._theta.copy_(theta)

    def rebase(self, old_base: Tensor, new_base: Tensor) -> None:
        """Moves to a new version and keeps what was learned since the old one.

        ``theta = new_base + (theta - old_base)``; the optimizers' moments stay.
        """
        check_vector(self.layout, old_base)
        check_vector(self.layout, new_base)
        with self._lock:
            self._theta.sub_(old_base.to(self.device)).add_(new_base.to(self.device))

    def train_microbatch(self, epoch: int, start: int, stop: int) -> StepStats:
        """One step of each network on the images at positions ``[start, stop)`` of an epoch."""
        if not 0 <= start < stop <= self.images.count:
            raise InternalError(f"positions [{start}, {stop}) are not within {self.images.count} images")
        with self._lock:
            real = self._real_images(epoch, start, stop)
            latents = microbatch_latents(
                self.config.seed, epoch, start, stop - start, self.config.model.latent_dim
            )
            return self._train(real, latents.to(self.device), self._has_r1(start))

    def _has_r1(self, start: int) -> bool:
        loss = self.config.loss
        return loss.r1_gamma > 0 and (start // self.config.microbatch) % loss.r1_every == 0

    def _real_images(self, epoch: int, start: int, stop: int) -> Tensor:
        order = epoch_permutation(self.config.seed, epoch, self.images.count)
        pixels = self.images.batch(order[start:stop]).to(self.device)
        return pixels.to(torch.float32).div_(127.5).sub_(1.0)

    def _train(self, real: Tensor, latents: Tensor, with_r1: bool) -> StepStats:
        # The same drawn images serve both steps; the generator runs forward once.
        fake = self._generator(latents)
        real_logits, fake_logits, loss_d, r1 = self._discriminator_losses(real, fake.detach(), with_r1)
        gamma, every = self.config.loss.r1_gamma, self.config.loss.r1_every
        total_d = loss_d if r1 is None else loss_d + r1 * (gamma / 2 * every)
        d_stepped = self._step_d.step(total_d)
        # The discriminator passes gradients on to the generator but needs none of its own.
        self._discriminator.requires_grad_(False)
        loss_g = generator_loss(self._discriminator(fake))
        self._discriminator.requires_grad_(True)
        g_stepped = self._step_g.step(loss_g)
        return StepStats(
            images=len(real),
            loss_g=loss_g.item(),
            loss_d=loss_d.item(),
            d_real=real_logits.sigmoid().mean().item(),
            d_fake=fake_logits.sigmoid().mean().item(),
            r1=None if r1 is None else r1.item(),
            finite=d_stepped and g_stepped,
        )

    def _discriminator_losses(
        self, real: Tensor, fake: Tensor, with_r1: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        real.requires_grad_(with_r1)
        real_logits = self._discriminator(real)
        fake_logits = self._discriminator(fake)
        r1 = r1_penalty(real_logits, real) if with_r1 else None
        return real_logits.detach(), fake_logits.detach(), discriminator_loss(real_logits, fake_logits), r1


class _FlatAdam:
    """Adam (Kingma and Ba, 2015) on one network's part of the flat vector."""

    def __init__(self, theta: Tensor, gradient: Tensor, settings: OptimizerConfig, lr: float) -> None:
        self._parameter, self._gradient = theta, gradient
        self._settings, self._lr = settings, lr
        # One pass over memory where torch has it.
        self._fused = theta.device.type in ("cpu", "cuda")
        self._mean, self._square = torch.zeros_like(theta), torch.zeros_like(theta)
        self._steps = torch.zeros((), device=theta.device if self._fused else "cpu")

    def step(self, loss: Tensor) -> bool:
        """Steps down the loss, unless it or a gradient is not finite; says whether it did."""
        self._gradient.zero_()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if not (is_finite(loss.detach()) and is_finite(self._gradient)):
            return False
        self._descend()
        return True

    @torch.no_grad()
    def _descend(self) -> None:
        # The function behind torch.optim.Adam: making the object imports torch's compiler, for seconds.
        adam(
            [self._parameter],
            [self._gradient],
            [self._mean],
            [self._square],
            [],
            [self._steps],
            fused=self._fused,
            amsgrad=False,
            beta1=self._settings.beta1,
            beta2=self._settings.beta2,
            lr=self._lr,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
