"""What a new run takes from the images and the device in place of a number somebody chose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.data import ImageSet
from p2pgan.gan.memory import give_memory_back
from p2pgan.gan.trainer import Trainer

MOST_MICROBATCH = 512
"""Larger ones hardly train faster, and each step learns less from an image."""


def with_classes_of(config: GanConfig, images: ImageSet) -> GanConfig:
    """``config`` for a conditional GAN on the classes of ``images``. Raises ConfigError if they have none."""
    if not images.classes:
        raise ConfigError(
            "the images have no classes; put them into one folder for each class, or leave --conditional out"
        )
    values = config.model_dump()
    values["model"]["num_classes"] = images.classes
    return parse_config(values)


def with_largest_microbatch(config: GanConfig, device: torch.device) -> GanConfig:
    """``config`` with the largest microbatch, in doublings, that fits the device's memory.

    On the CPU, whose memory is shared with everything else, it stays as it is.
    """
    if device.type == "cpu":
        return config
    return config.model_copy(
        update={"microbatch": largest(config.microbatch, lambda size: _fits(config, device, size))}
    )


def largest(start: int, fits: Callable[[int], bool]) -> int:
    """The last of ``start``, twice ``start``, ... up to ``MOST_MICROBATCH`` that fits; less if none does."""
    size = start
    while size > 1 and not fits(size):
        size //= 2
    if size < start:
        return size
    while 2 * size <= MOST_MICROBATCH and fits(2 * size):
        size *= 2
    return size


def _fits(config: GanConfig, device: torch.device, size: int) -> bool:
    """Whether a step with all that there may ever be in one gets through with so many images at once."""
    side, classes = config.model.resolution, config.model.num_classes
    labels = [index % classes for index in range(max(size, classes))] if classes else []
    noise = np.zeros((max(size, classes), 3, side, side), dtype=np.uint8)
    trainer = Trainer(_fullest(config, size), ImageSet(noise, labels), device)
    trainer.train_microbatch(0, 0, size)
    fitted = trainer.device_batch == size
    del trainer
    give_memory_back(device)
    return fitted


def _fullest(config: GanConfig, size: int) -> GanConfig:
    """``config`` with steps of ``size`` images, in the first of which everything is due.

    Penalties are in any case; but G makes a step in every ``d_steps`` only, and augmentation that adapts
    changes nothing at first.
    """
    loss = config.loss.model_copy(update={"d_steps": 1})
    augment = config.augment.model_copy(update={"adaptive": False})
    return config.model_copy(update={"microbatch": size, "accumulate": 1, "loss": loss, "augment": augment})
