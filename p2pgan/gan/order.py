"""A folder of single images that is filled in as many goes as it takes.

A small file beside the images says what they are of. Images that are there are kept if they are of
the same order, and nothing is mixed if they are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from p2pgan.errors import ConfigError
from p2pgan.gan.output import not_written, write_whole
from p2pgan.gan.sampling import Generator, picture_png
from p2pgan.protocol.texts import printable, shortened

FILE = "images.json"
MAX_FILE_BYTES = 1 << 16
DIGITS = 6
"""In the names of images, at least."""
_IMAGE = re.compile(r"\d{6,}\.png")
_MEANINGS = {"weights": "other weights", "digits": "names of another length"}


@dataclass(frozen=True)
class Order:
    """All that decides what the images of a folder are, but for their number."""

    weights: str
    """Digest of the generator's."""
    seed: int
    label: int | None
    truncation: float | None
    digits: int
    """Of the numbers in their names: with more than a million there are more, so that they stay in order."""


def order_of(
    generator: Generator, count: int, seed: int, label: int | None, truncation: float | None
) -> Order:
    """The order of ``count`` images."""
    return Order(generator.digest, seed, label, truncation, max(DIGITS, len(str(count - 1))))


def missing(folder: Path, order: Order, count: int) -> list[int]:
    """Which images are not there yet.

    Raises ConfigError if the folder holds images of another order, or of one that it does not tell.
    """
    try:
        present = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        if FILE in present:
            _check(folder, order)
        elif any(_IMAGE.fullmatch(name) for name in present):
            raise ConfigError(f"{folder} holds images, and no {FILE} says of what; choose another --out")
        return [index for index in range(count) if not _is_there(folder, order, index, present)]
    except OSError as error:
        raise not_written(folder, error) from error


Batches = Iterator[tuple[int, Tensor]]
"""Index of the first image, and images: uint8 ``(n, 3, H, W)``."""
Draw = Callable[[Sequence[int]], Batches]
"""Draws the whole batches that begin at these indices, in any order."""


def drawn_here(generator: Generator, order: Order) -> Draw:
    """This machine draws all, in their order."""

    def draw(firsts: Sequence[int]) -> Batches:
        for first in firsts:
            yield first, generator.batch(first, order.seed, order.label, order.truncation)

    return draw


def fill(
    folder: Path, order: Order, batch_size: int, indices: Sequence[int], origin: str, draw: Draw
) -> Iterator[Path]:
    """Has the images at ``indices`` drawn, writes them, and yields the path of each once it is there.

    Whole batches are drawn for them, so that each is the same as if all had been drawn at once.
    Raises ConfigError if one cannot be written.
    """
    facts = {"order": asdict(order), "origin": origin}
    write_whole(folder / FILE, json.dumps(facts, indent=2).encode() + b"\n")
    wanted: dict[int, list[int]] = {}
    for index in indices:
        wanted.setdefault(index - index % batch_size, []).append(index)
    for first, images in draw(list(wanted)):
        for index in wanted[first]:
            path = folder / _name(order, index)
            write_whole(path, picture_png(images[index - first]))
            yield path


def _name(order: Order, index: int) -> str:
    return f"{index:0{order.digits}d}.png"


def _is_there(folder: Path, order: Order, index: int, present: set[str]) -> bool:
    """An empty file is what a machine that lost its power may leave."""
    name = _name(order, index)
    return name in present and (folder / name).stat().st_size > 0


def _check(folder: Path, order: Order) -> None:
    """Raises ConfigError unless the folder's images are of this order."""
    facts = _read(folder / FILE)
    found, wanted = facts["order"], asdict(order)
    for key, value in wanted.items():
        if found.get(key) == value:
            continue
        what = _MEANINGS.get(key) or f"{key} {_shown(found.get(key))}, not {_shown(value)}"
        origin = str(facts.get("origin") or "")
        of = f" ({printable(shortened(origin))})" if key == "weights" and origin else ""
        raise ConfigError(f"{folder} holds images of {what}{of}; choose another --out")


def _shown(value: object) -> str:
    return "none" if value is None else printable(shortened(str(value), 40))


def _read(path: Path) -> dict[str, Any]:
    """Raises ConfigError if it is not what ``fill`` writes."""
    try:
        with path.open("rb") as file:
            facts: Any = json.loads(file.read(MAX_FILE_BYTES))
        if not isinstance(facts["order"], dict):
            raise TypeError("order")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged; choose another --out") from error
    return dict(facts)
