"""Training in one process, without a database: the same trainer, alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.ema import ema_update, half_life_at
from p2pgan.gan.sampling import Generator, write_grid
from p2pgan.gan.trainer import StepStats, Trainer
from p2pgan.gan.weights import save_generator

GRID_IMAGES = 64


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


class Callbacks:
    """What a caller may watch; override what is of interest. All run in the training's thread."""

    def on_unit(self, stats: UnitStats) -> None:
        """After each unit."""

    def on_progress(self, images: int, goal: int) -> None:
        """After each unit: images trained so far, and images in all."""

    def on_samples(self, images: int, path: Path) -> None:
        """After a sample grid was written, ``images`` into the training."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves."""

    generator: Generator
    images: int
    weights: Path
    samples: Path
    """The last grid."""


def train(
    config: GanConfig,
    images: ImageSet,
    out: Path,
    *,
    epochs: float | None = None,
    images_goal: int | None = None,
    unit_images: int = 512,
    sample_every: int = 20,
    device: torch.device | str = "cpu",
    callbacks: Sequence[Callbacks] = (),
) -> Trained:
    """Trains until ``images_goal`` images (or ``epochs`` passes) were seen.

    Every ``sample_every`` units and at the end writes ``out/samples-IMAGES.png`` and, in place of
    the last one, the averaged generator as ``out/generator.safetensors``. The average moves once
    per unit, as it moves once per commit among peers.

    Raises ConfigError for a goal that is missing, doubled or not positive, WeightsError if the
    training diverged.
    """
    goal = _goal(images.count, epochs, images_goal)
    trainer = Trainer(config, images, device)
    generator_part = trainer.layout.slice_of("G")
    ema = trainer.theta()[generator_part].clone()
    weights = out / "generator.safetensors"
    seen = 0
    for number, (epoch, start, stop) in enumerate(_units(images.count, unit_images, goal), 1):
        stats = train_unit(trainer, number, epoch, start, stop)
        if stats.skipped * config.microbatch >= stats.images:
            raise WeightsError(f"training diverged in unit {number}: no step was finite; lower lr_g and lr_d")
        seen += stats.images
        half_life = half_life_at(seen, config.ema_half_life_images)
        ema_update(ema, trainer.theta()[generator_part], stats.images, half_life)
        for callback in callbacks:
            callback.on_unit(stats)
            callback.on_progress(seen, goal)
        if number % sample_every == 0 or seen >= goal:
            grid = _write_samples(config, ema, seen, out)
            save_generator(weights, config, ema, {"images": str(seen)})
            for callback in callbacks:
                callback.on_samples(seen, grid)
    return Trained(Generator(config, ema), seen, weights, grid)


def train_unit(trainer: Trainer, unit: int, epoch: int, start: int, stop: int) -> UnitStats:
    """Trains on the images at positions ``[start, stop)`` of an epoch, microbatch by microbatch."""
    began = time.perf_counter()
    size = trainer.config.microbatch
    steps = [
        trainer.train_microbatch(epoch, first, min(first + size, stop)) for first in range(start, stop, size)
    ]
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


def _goal(count: int, epochs: float | None, images_goal: int | None) -> int:
    if (epochs is None) == (images_goal is None):
        raise ConfigError("say how long to train: either epochs or images_goal")
    goal = images_goal if images_goal is not None else round(count * (epochs or 0))
    if goal < 1:
        raise ConfigError("the goal is less than one image; raise epochs or images_goal")
    return goal


def _units(count: int, unit_images: int, goal: int) -> Iterator[tuple[int, int, int]]:
    """(epoch, start, stop) of each unit, until ``goal`` images are covered."""
    seen = epoch = 0
    while True:
        for start in range(0, count, unit_images):
            stop = min(start + unit_images, count)
            yield epoch, start, stop
            seen += stop - start
            if seen >= goal:
                return
        epoch += 1


def _write_samples(config: GanConfig, ema: Tensor, seen: int, out: Path) -> Path:
    path = out / f"samples-{seen:09d}.png"
    write_grid(Generator(config, ema).sample(GRID_IMAGES), path)
    return path
