"""Training in one process, without a database: the same trainer, alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import torch

from p2pgan.allocator import keep_freed_memory
from p2pgan.errors import ConfigError, Trouble, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet, training_images
from p2pgan.gan.ema import ema_update, half_life_at
from p2pgan.gan.folder import TrainingFolder
from p2pgan.gan.health import Recovery
from p2pgan.gan.sampling import Generator
from p2pgan.gan.signals import Warner
from p2pgan.gan.trainer import StepStats, Trainer
from p2pgan.gan.units import UnitStats, summarise, train_unit
from p2pgan.protocol.ids import Span
from p2pgan.protocol.spans import OpenSpans

__all__ = ["Callbacks", "Trained", "UnitStats", "summarise", "train"]

SAVE_EVERY_S = 30.0
"""A crash costs no more than so much training."""


class Callbacks:
    """What a caller may watch; override what is of interest. All run in the training's thread."""

    def on_unit(self, stats: UnitStats) -> None:
        """After each unit."""

    def on_step(self, unit: int, done: int, of: int) -> None:
        """After each step: ``done`` images of the ``of`` in unit number ``unit``."""

    def on_progress(self, images: int, goal: int) -> None:
        """After each unit: images trained so far, and images in all."""

    def on_notice(self, text: str) -> None:
        """When the training had to help itself, or its signals say that something is wrong."""

    def on_samples(self, images: int, path: Path) -> None:
        """After a sample grid was written, ``images`` into the training."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves."""

    generator: Generator
    images: int
    goal: int
    """Images there were to be; more than ``images`` if it was asked to stop."""
    weights: Path
    samples: Path
    """The last grid."""
    losses: Path
    """The table of units: CSV, one line each."""


def train(
    config: GanConfig,
    images: ImageSet,
    folder: TrainingFolder,
    *,
    epochs: float | None = None,
    images_goal: int | None = None,
    unit_images: int = 512,
    sample_every: int = 10,
    device: torch.device | str = "cpu",
    callbacks: Sequence[Callbacks] = (),
    stopping: Callable[[], bool] = lambda: False,
) -> Trained:
    """Trains until ``images_goal`` images (or ``epochs`` passes) were seen, or ``stopping`` is true.

    ``stopping`` is asked after each microbatch. The folder gets a line of losses with each unit, a
    sample grid every ``sample_every`` units and at the end, and the averaged generator in place of
    the last one at least every ``SAVE_EVERY_S`` seconds. The average moves once per unit, as it
    moves once per commit among peers, unless the unit's last step was not finite.

    Raises ConfigError for a goal that is missing, doubled or not positive, or a folder that cannot
    be written any more; P2pganError if the disk is full; WeightsError if the training diverged, so
    that going back to sound weights helps no more.
    """
    images = training_images(config, images)
    goal = _goal(images.count, epochs, images_goal)
    trainer = Trainer(config, images, device)
    recovery, warner = Recovery(trainer), Warner(config.loss.is_relative)
    recovery.mark(trainer.theta())
    generator_part = trainer.layout.slice_of("G")
    ema = trainer.theta()[generator_part].clone()
    seen = 0
    next_save_s = 0.0

    def draw() -> Path:
        folder.save_weights(config, ema, seen)
        grid = folder.save_grid(config, ema, seen)
        for callback in callbacks:
            callback.on_samples(seen, grid)
        return grid

    def notice(text: str | None) -> None:
        if text is not None:
            for callback in callbacks:
                callback.on_notice(text)

    def stepped(unit: int, of: int, step: StepStats, done: int) -> None:
        notice(recovery.after(step))
        if recovery.is_hopeless:
            text = f"training diverged in unit {unit}: no step is finite any more; lower lr_g and lr_d"
            raise WeightsError(text, Trouble.NAN)
        for callback in callbacks:
            callback.on_step(unit, done, of)

    notice(keep_freed_memory())
    for number, span in enumerate(_units(images, unit_images, goal), 1):
        trainer.at(seen)
        after = partial(stepped, number, span.images)
        stats = train_unit(trainer, number, span.epoch, span.start, span.stop, stopping, after)
        seen += stats.images
        theta = trainer.theta()
        if stats.skipped == 0:
            recovery.mark(theta)
        if not recovery.fails:
            half_life = half_life_at(seen, config.ema_half_life_images)
            ema = ema_update(ema, theta[generator_part], stats.images, half_life)
        folder.record(stats, seen)
        for callback in callbacks:
            callback.on_unit(stats)
            callback.on_progress(seen, goal)
        if not recovery.fails:
            notice(warner.after(stats))
        if stopping():
            break
        if number % sample_every == 0 and seen < goal:
            draw()
        elif time.monotonic() >= next_save_s:
            folder.save_weights(config, ema, seen)
            next_save_s = time.monotonic() + SAVE_EVERY_S
    return Trained(Generator(config, ema), seen, goal, folder.weights, draw(), folder.losses)


def _goal(count: int, epochs: float | None, images_goal: int | None) -> int:
    if (epochs is None) == (images_goal is None):
        raise ConfigError("say how long to train: either epochs or images_goal")
    goal = images_goal if images_goal is not None else round(count * (epochs or 0))
    if goal < 1:
        raise ConfigError("the goal is less than one image; raise epochs or images_goal")
    return goal


def _units(images: ImageSet, unit_images: int, goal: int) -> Iterator[Span]:
    """What a lone peer would train, a unit or a part's share of it at a time, for ``goal`` images."""
    spans = OpenSpans(images.count, unit_images, images.parts.ends if images.parts is not None else ())
    seen = 0
    for epoch in count():
        spans.open_epoch(epoch)
        while spans:
            span = spans.pop()
            yield span
            seen += span.images
            if seen >= goal:
                return
