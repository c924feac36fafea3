"""Forward and backward passes of one step, in parts that fit the device.

A step's loss is a mean over its images, so it is the same whether the images pass through the networks
at once or part by part with the gradients added up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from p2pgan.gan.augment import Augment
from p2pgan.gan.config import LossConfig
from p2pgan.gan.losses import LOSSES
from p2pgan.gan.models import run_network
from p2pgan.gan.precision import Precision
from p2pgan.gan.regularizers import between, gradient_penalty, r1_penalty


@dataclass(frozen=True)
class Batch:
    """Everything a step is made from, all but the weights."""

    device: torch.device
    """Where its parts go. The whole is there, too, if it passes through the networks at once."""

    real: Tensor
    """float32 in [-1, 1], shape ``(n, 3, R, R)``."""
    latents: Tensor
    """``(n, latent_dim)``."""
    labels: Tensor | None
    """int64 ``(n,)``: of the real images, and drawn for."""
    draws: Tensor | None
    """For augmentation, ``(3, n, DRAWS)``: real, drawn for D, drawn for G."""
    shares: Tensor | None
    """For the gradient penalty, ``(n,)``."""

    def __len__(self) -> int:
        return len(self.real)

    def parts(self, most: int) -> Iterator[Batch]:
        """The batch, or parts of at most so many images."""
        if len(self) <= most:
            yield self
            return
        for start in range(0, len(self), most):
            part = slice(start, start + most)
            yield Batch(
                self.device,
                self.real[part].to(self.device),
                self.latents[part].to(self.device),
                None if self.labels is None else self.labels[part].to(self.device),
                None if self.draws is None else self.draws[:, part].to(self.device),
                None if self.shares is None else self.shares[part].to(self.device),
            )


@dataclass(frozen=True)
class Judgement:
    """What D's part of a step showed; means over the images."""

    loss: float
    """Without penalties."""
    loss_g: float
    """What G's loss is on the same images."""
    d_real: float
    d_fake: float
    sign: float
    r1: float | None
    r2: float | None


@dataclass(frozen=True)
class _Kept:
    """What D's pass leaves to G's, of a batch that went through at once."""

    drawn: Tensor
    logits: Tensor | None
    """D's of the drawn images, with the graph behind them; None unless they hold for G's pass as well."""
    real_logits: Tensor
    """Without a graph."""


class Passes:
    """The two games' losses, computed and differentiated. Gradients are added to what is there."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        config: LossConfig,
        precision: Precision,
        augment: Augment,
    ) -> None:
        self._g, self._d = generator, discriminator
        self._config, self._loss = config, LOSSES[config.name]
        self._precision, self._augment = precision, augment
        self._kept: _Kept | None = None

    def forget(self) -> None:
        """Gives memory back that a pass has kept for the next."""
        self._kept = None

    def discriminator(self, batch: Batch, most: int, lazy: bool, *, with_g: bool, d_stays: bool) -> Judgement:
        """Adds up D's gradients; ``lazy`` says that R1 and R2 are due, ``with_g`` that G's pass follows.

        Then images drawn in one part are kept for it: the generator runs forward once. If ``d_stays`` as it
        is until then, D runs forward on them once, too (Shen et al., "Training Generative Adversarial
        Networks in One Stage", 2021), unless G is to see them augmented otherwise.
        """
        self.forget()
        seen: list[Tensor] = []
        for part in batch.parts(most):
            whole = with_g and part is batch
            once = whole and d_stays and part.draws is None
            with torch.set_grad_enabled(whole), self._precision.lowered():
                fake = run_network(self._g, part.latents, part.labels)
            seen_by_d = fake.float() if once else fake.detach().float()
            real_logits, fake_logits = self._logits(part, seen_by_d, lazy)
            if whole:
                self._kept = _Kept(fake, fake_logits if once else None, real_logits.detach())
            total, figures = self._discriminator_loss(part, seen_by_d, real_logits, fake_logits, lazy)
            weight = len(part) / len(batch)
            self._differentiate(total * weight, self._d, keep_graph=once)
            seen.append(figures * weight)
        loss, loss_g, d_real, d_fake, sign, r1, r2 = torch.stack(seen).sum(dim=0).tolist()
        with_r1, with_r2 = lazy and self._config.r1_gamma > 0, lazy and self._config.r2_gamma > 0
        return Judgement(loss, loss_g, d_real, d_fake, sign, r1 if with_r1 else None, r2 if with_r2 else None)

    def generator(self, batch: Batch, most: int) -> float:
        """Adds up G's gradients; its loss."""
        try:
            losses = [self._generator_loss(part, len(batch)) for part in batch.parts(most)]
        finally:
            self.forget()
        return torch.stack(losses).sum().item()

    def _generator_loss(self, part: Batch, images: int) -> Tensor:
        """One part's share of G's loss."""
        kept = self._kept
        if kept is not None and kept.logits is not None:
            loss = self._loss.generator(kept.logits, kept.real_logits)
        else:
            loss = self._loss.generator(*self._logits_for_g(part, None if kept is None else kept.drawn))
        weight = len(part) / images
        self._differentiate(loss * weight, self._g)
        return loss.detach() * weight

    def _logits_for_g(self, part: Batch, fake: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """D's of drawn images, which are drawn if they are not there, and of real ones for a paired loss."""
        with self._precision.lowered():
            if fake is None:
                fake = run_network(self._g, part.latents, part.labels)
            fake_logits = self._judged(fake, part, 2).float()
            if not self._loss.paired:
                return fake_logits, None
            with torch.no_grad():
                return fake_logits, self._judged(part.real, part, 0).float()

    def _differentiate(self, loss: Tensor, network: nn.Module, keep_graph: bool = False) -> None:
        """Adds to the gradients of ``network`` alone, at the precision's scale; what is frozen has none."""
        scaled = loss * self._precision.scale
        parameters = [p for p in network.parameters() if p.requires_grad]
        scaled.backward(retain_graph=keep_graph, inputs=parameters)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def _logits(self, part: Batch, fake: Tensor, lazy: bool) -> tuple[Tensor, Tensor]:
        """D's of real and of drawn images, as it sees them in its own pass, ready for penalties."""
        part.real.requires_grad_(lazy and self._config.r1_gamma > 0)
        if fake.is_leaf:  # else it has G's graph behind it, and requires them anyway
            fake.requires_grad_(lazy and self._config.r2_gamma > 0)
        with self._precision.lowered():
            return self._judged(part.real, part, 0).float(), self._judged(fake, part, 1).float()

    def _discriminator_loss(
        self, part: Batch, fake: Tensor, real_logits: Tensor, fake_logits: Tensor, lazy: bool
    ) -> tuple[Tensor, Tensor]:
        """D's loss with penalties, and the figures of ``Judgement``."""
        config, real = self._config, part.real
        with_r1, with_r2 = lazy and config.r1_gamma > 0, lazy and config.r2_gamma > 0
        loss = self._loss.discriminator(real_logits, fake_logits)
        total, r1, r2 = loss, loss.new_zeros(()), loss.new_zeros(())
        if with_r1:
            r1 = r1_penalty(self._in_full(real_logits, real, part, 0), real)
            total = total + r1 * (config.r1_gamma / 2 * config.r1_every)
        if with_r2:
            r2 = r1_penalty(self._in_full(fake_logits, fake, part, 1), fake)
            total = total + r2 * (config.r2_gamma / 2 * config.r1_every)
        if part.shares is not None:
            mixed = between(real, fake.detach(), part.shares)
            with self._precision.full():
                logits = run_network(self._d, mixed, part.labels)
            total = total + gradient_penalty(logits, mixed) * config.gp_weight
        with torch.no_grad():
            sign = (real_logits - fake_logits if self._config.is_relative else real_logits).sign().mean()
            loss_g = self._loss.generator(fake_logits, real_logits)
            d_real, d_fake = real_logits.sigmoid().mean(), fake_logits.sigmoid().mean()
            figures = [loss, loss_g, d_real, d_fake, sign, r1, r2]
            return total, torch.stack([figure.detach() for figure in figures])

    def _judged(self, images: Tensor, part: Batch, row: int) -> Tensor:
        """Logits, after the changes of ``row`` of the draws."""
        if part.draws is not None:
            images = self._augment(images, part.draws[row])
        return run_network(self._d, images, part.labels)

    def _in_full(self, logits: Tensor, images: Tensor, part: Batch, row: int) -> Tensor:
        """Logits whose gradients are of full precision: those that are there, if they are."""
        if not self._precision.is_lowered:
            return logits
        with self._precision.full():
            return self._judged(images, part, row)
