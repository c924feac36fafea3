"""Training one unit, and what it showed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from p2pgan.gan.trainer import StepStats, Trainer


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
    """Microbatches whose losses or gradients were not finite."""

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        line = (
            f"unit {self.unit} done, {self.images} images in {self.seconds:.1f} s, "
            f"G {self.loss_g:.2f} D {self.loss_d:.2f}"
        )
        return f"{line}, {self.skipped} steps left out" if self.skipped else line


def train_unit(
    trainer: Trainer, unit: int, epoch: int, start: int, stop: int, stopping: Callable[[], bool]
) -> UnitStats:
    """Trains on the images at positions ``[start, stop)`` of an epoch, microbatch by microbatch.

    At least one is trained; after each one ``stopping`` says whether to leave out the rest.
    """
    began = time.perf_counter()
    size = trainer.config.microbatch
    steps: list[StepStats] = []
    for first in range(start, stop, size):
        steps.append(trainer.train_microbatch(epoch, first, min(first + size, stop)))
        if stopping():
            break
    return summarise(unit, epoch, steps, time.perf_counter() - began)


def summarise(unit: int, epoch: int, steps: Sequence[StepStats], seconds: float) -> UnitStats:
    """Means over the images of a unit's microbatches. Steps that were not finite count as left out."""
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
    )
