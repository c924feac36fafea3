"""Which images should go to different peers: a strategy that divides a run's images into parts.

Every epoch visits the images part by part, so a part is a range of each epoch's positions, and the same
one in all of them. Peers find the parts out for themselves; that they find the same is a matter of the
run's fingerprint. Within a part the order is the epoch's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig, names_a_file, parse_config
from p2pgan.gan.own_code import OwnCode
from p2pgan.gan.randomness import epoch_permutation

if TYPE_CHECKING:
    from p2pgan.gan.data import ImageSet

MOST_PARTS = 1024

OwnSharding = Callable[["ImageSet", int], Any]
"""Takes the images and the run's seed; returns a whole number for each image. Equal numbers are a part."""


class Parts:
    """The parts of a set of images, and the order in which epochs visit them."""

    def __init__(self, numbers: npt.NDArray[np.int64]) -> None:
        """``numbers``: the part of each image, shape ``(count,)``; all of 0 ... are used."""
        self._numbers = numbers
        self.ends: tuple[int, ...] = tuple(np.bincount(numbers).cumsum().tolist())
        """Where each part ends in an epoch."""
        self.order = lru_cache(maxsize=4)(self._order)
        """By seed and epoch, as ``epoch_permutation``: int64, shape ``(count,)``. Do not write to it."""

    def to_bytes(self) -> bytes:
        """What a fingerprint is made from."""
        return self._numbers.astype("<i8", copy=False).tobytes()

    def _order(self, seed: int, epoch: int) -> Tensor:
        order = epoch_permutation(seed, epoch, len(self._numbers)).numpy()
        return torch.from_numpy(order[np.argsort(self._numbers[order], kind="stable")])


def use_own_sharding(spec: str) -> str:
    """Loads the function that ``path/to/file.py:FUNCTION`` names, and returns its name ``FUNCTION@DIGEST``.

    It takes the images (``images.count``, ``images.labels_of(indices)``, ``images.batch(indices)``) and the
    run's seed, and returns a whole number for each image: those with equal numbers are a part.

    Raises ConfigError: no such file or function, or it cannot be run.
    """
    return SHARDINGS.use(spec)


def with_sharding(config: GanConfig, sharding: str | OwnSharding) -> GanConfig:
    """``config`` with a strategy: one by name, or somebody's own as ``path/to/file.py:FUNCTION``.

    A function itself will do where no other process needs it. Raises ConfigError as ``use_own_sharding``
    does, or for an unknown name.
    """
    return parse_config({**config.model_dump(), "sharding": _name_of(sharding)})


def _name_of(sharding: str | OwnSharding) -> str:
    if not isinstance(sharding, str):
        if not callable(sharding):
            raise ConfigError(f"the sharding {sharding!r} is no name, and nothing that could be called")
        return SHARDINGS.keep(sharding)
    return use_own_sharding(sharding) if names_a_file(sharding) else sharding


def parts_of(sharding: str, images: ImageSet, seed: int) -> Parts | None:
    """The parts by a strategy: ``iid`` (None, all images are alike), ``by-class``, or somebody's own.

    Raises ConfigError: the images have no classes; an own function's file was not given on this machine,
    it fails, or does not return a number for each image.
    """
    if sharding == "iid":
        return None
    if sharding == "by-class":
        if not images.classes:
            raise ConfigError("the images have no classes to tell them apart by; leave --sharding out")
        numbers = images.labels_of(torch.arange(images.count)).numpy()
    else:
        numbers = _by_own(sharding, images, seed)
    found, inverse = np.unique(numbers, return_inverse=True)
    if len(found) > MOST_PARTS:
        raise ConfigError(f"{len(found):,} parts are too many for peers; make at most {MOST_PARTS:,}")
    return Parts(inverse.astype(np.int64, copy=False))


def _by_own(sharding: str, images: ImageSet, seed: int) -> npt.NDArray[np.integer[Any]]:
    function, name = SHARDINGS.find(sharding), sharding.partition("@")[0]
    try:
        numbers = np.asarray(function(images, seed))
    except Exception as error:  # whatever a person's function raises
        raise ConfigError(f"the sharding {name} fails: {type(error).__name__}: {error}") from error
    if numbers.shape != (images.count,) or not np.issubdtype(numbers.dtype, np.integer):
        raise ConfigError(
            f"the sharding {name} returned {numbers.dtype} of shape {numbers.shape}; it must return "
            f"a whole number for each of the {images.count:,} images"
        )
    return numbers


def _checked(found: object, place: Path, name: str) -> OwnSharding:
    if not callable(found):
        raise ConfigError(f"{name} in {place} is no function; define {name}(images, seed)")
    return cast(OwnSharding, found)


SHARDINGS: OwnCode[OwnSharding] = OwnCode("sharding", "function", "--sharding", _checked)
"""Those that somebody at this machine named."""
