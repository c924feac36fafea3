"""Training one unit, and what it showed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from p2pgan.gan.trainer import Look, StepStats, Trainer


@dataclass(frozen=True)
class UnitStats:
    """What training one unit showed; losses and probabilities are means over its images."""

    unit: int
    """Counted from the start of the training."""
    epoch: int
    images: int
    seconds: float
    loss_g: float
    loss_d: float
    d_real: float
    d_fake: float
    skipped: int
    """Steps whose losses or gradients were not finite."""
    sign_real: float = 0.0
    """Mean sign of D on real images, of the difference to drawn ones for relative losses."""
    sign_held_out: float | None = None
    """The same on images that are not trained on, once at the end."""
    r1: float | None = None
    """Squared gradient norm of D at real images, where it was computed."""
    grad_g: float = 0.0
    grad_d: float = 0.0
    """Norms of the gradients."""
    diversity: float | None = None
    """How far drawn images differ from each other, once at the end; see ``Look``."""

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        line = (
            f"unit {self.unit} done: {self.images} images in {self.seconds:.1f} s, "
            f"G {self.loss_g:.2f} D {self.loss_d:.2f}"
        )
        return f"{line}, {self.skipped} steps left out" if self.skipped else line

    @property
    def signals(self) -> str:
        """What tells how healthy the training is, in a line."""
        parts = [f"D(x) {self.d_real:.2f} D(G(z)) {self.d_fake:.2f}", f"sign {self.sign_real:.2f}"]
        if self.sign_held_out is not None:
            parts.append(f"held out {self.sign_held_out:.2f}")
        if self.r1 is not None:
            parts.append(f"R1 {self.r1:.2g}")
        parts.append(f"gradients {self.grad_g:.2g} {self.grad_d:.2g}")
        if self.diversity is not None:
            parts.append(f"diversity {self.diversity:.2f}")
        return ", ".join(parts)


def train_unit(
    trainer: Trainer,
    unit: int,
    epoch: int,
    start: int,
    stop: int,
    stopping: Callable[[], bool],
    after: Callable[[StepStats, int], object] = lambda stats, done: None,
) -> UnitStats:
    """Trains on the images at positions ``[start, stop)`` of an epoch, step by step.

    At least one is made; after each one ``after`` is told, with the images so far, and ``stopping`` says
    whether to leave out the rest.
    """
    began = time.perf_counter()
    size = trainer.config.step_images
    steps: list[StepStats] = []
    for first in range(start, stop, size):
        end = min(first + size, stop)
        steps.append(trainer.train_microbatch(epoch, first, end))
        after(steps[-1], end - start)
        if stopping():
            break
    return summarise(unit, epoch, steps, time.perf_counter() - began, trainer.look())


def summarise(
    unit: int, epoch: int, steps: Sequence[StepStats], seconds: float, look: Look | None = None
) -> UnitStats:
    """Means over the images of a unit's steps. Steps that were not finite count as left out."""
    finite = [step for step in steps if step.finite]
    weight = sum(step.images for step in finite) or 1

    def mean(values: Iterator[float]) -> float:
        return sum(v * s.images for v, s in zip(values, finite, strict=True)) / weight

    return UnitStats(
        unit=unit,
        epoch=epoch,
        images=sum(step.images for step in steps),
        seconds=seconds,
        loss_g=mean(step.loss_g for step in finite),
        loss_d=mean(step.loss_d for step in finite),
        d_real=mean(step.d_real for step in finite),
        d_fake=mean(step.d_fake for step in finite),
        skipped=len(steps) - len(finite),
        sign_real=mean(step.sign_real for step in finite),
        sign_held_out=None if look is None else look.sign_held_out,
        r1=sum(r1s) / len(r1s) if (r1s := [step.r1 for step in finite if step.r1 is not None]) else None,
        grad_g=mean(step.grad_g for step in finite),
        grad_d=mean(step.grad_d for step in finite),
        diversity=None if look is None else look.diversity,
    )
