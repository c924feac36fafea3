"""The images of a run, ready for training: decoded, cropped and scaled once, kept as uint8."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import DatasetError, InternalError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.decode import to_square
from p2pgan.gan.randomness import derive_seed, epoch_permutation
from p2pgan.gan.sharding import Parts, parts_of
from p2pgan.gan.sources import Source, open_source
from p2pgan.protocol.texts import counted, printable

IN_MEMORY_BYTES = 16 * 1024 * 1024
"""Sets up to this size are decoded anew each time; larger ones are cached in a file."""
MOST_HELD_OUT = 1000
NAMES_SHOWN = 3
"""Of broken images."""
PREPARATION = "fit-bicubic-2"
"""Part of a cached file's name: changes when images are prepared in another way."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fingerprint:
    """What every peer's images must have in common."""

    count: int
    resolution: int
    digest: str
    """BLAKE3 of all decoded pixels, in order."""


class ImageSet:
    """Decoded images as one array, in memory or mapped from a file, with their classes if they have any."""

    def __init__(self, pixels: npt.NDArray[np.uint8], labels: Sequence[int] = ()) -> None:
        """``pixels``: shape ``(count, 3, R, R)``, C order. ``labels``: a class for each, or none at all."""
        if labels and len(labels) != len(pixels):
            raise InternalError(f"{len(labels)} labels for {len(pixels)} images")
        self._pixels = pixels
        self._labels = torch.tensor(labels, dtype=torch.int64)
        self._chosen: Tensor | None = None
        """Of a part: which of the pixels are its images."""
        self.count = int(pixels.shape[0])
        self.resolution = int(pixels.shape[2])
        self.classes = int(self._labels.max()) + 1 if labels else 0
        """How many; 0 if the images have none."""
        self.held_out: ImageSet | None = None
        """Images that are not trained on, if some were kept back."""
        self.parts: Parts | None = None
        """What should go to different peers; None if all images are alike."""
        self.fingerprint = Fingerprint(self.count, self.resolution, blob_digest(pixels.reshape(-1).data))

    def order(self, seed: int, epoch: int) -> Tensor:
        """The order in which an epoch visits the images: int64, shape ``(count,)``. Do not write to it."""
        if self.parts is not None:
            return self.parts.order(seed, epoch)
        return epoch_permutation(seed, epoch, self.count)

    def batch(self, indices: Tensor) -> Tensor:
        """A copy of some images: uint8, shape ``(len(indices), 3, R, R)``."""
        if self._chosen is not None:
            indices = self._chosen[indices]
        return torch.from_numpy(np.asarray(self._pixels[indices.numpy()]))

    def labels_of(self, indices: Tensor) -> Tensor:
        """Classes of some images: int64, shape ``(len(indices),)``; only if there are classes."""
        return self._labels[indices if self._chosen is None else self._chosen[indices]]

    def with_labels_in_fingerprint(self) -> Fingerprint:
        """The fingerprint of a run that trains on the classes too."""
        labels = self._labels.numpy().astype("<i8", copy=False).tobytes()
        digest = blob_digest(self.fingerprint.digest.encode() + labels)
        return replace(self.fingerprint, digest=digest)

    def without_held_out(self, seed: int) -> ImageSet:
        """The images without 1%, at most ``MOST_HELD_OUT``, which are then its ``held_out``.

        Which ones follows from the seed alone. The digest stays that of all images.
        """
        back = min(MOST_HELD_OUT, max(1, self.count // 100))
        if self.count < 2:
            raise DatasetError("a single image cannot be held out; leave --hold-out out")
        # In their own order, so that reading a part is reading forward.
        order = epoch_permutation(derive_seed(seed, "held out"), 0, self.count)
        training = self.part(order[back:].sort().values)
        training.held_out = self.part(order[:back].sort().values)
        return training

    def part(self, chosen: Tensor) -> ImageSet:
        """Some of the images, int64 indices, as a set of their own; the digest stays that of all."""
        part = copy(self)
        part._chosen = chosen if self._chosen is None else self._chosen[chosen]
        part.count = len(chosen)
        part.parts = None
        part.fingerprint = replace(self.fingerprint, count=len(chosen))
        return part


def training_images(config: GanConfig, images: ImageSet) -> ImageSet:
    """The images that a run of ``config`` trains on, in its parts. Raises what ``parts_of`` raises."""
    training = images.without_held_out(config.seed) if config.hold_out else images
    parts = parts_of(config.sharding, training, config.seed)
    if parts is None:
        return training
    divided = copy(training)
    divided.parts = parts
    return divided


def run_fingerprint(config: GanConfig, images: ImageSet) -> Fingerprint:
    """What the training images of all peers of a run have in common; classes count only if they are used.

    So do the parts: peers that divide the images differently would train some of them twice.
    """
    common = images.with_labels_in_fingerprint() if config.model.num_classes else images.fingerprint
    if images.parts is None:
        return common
    return replace(common, digest=blob_digest(common.digest.encode() + images.parts.to_bytes()))


def open_images(
    spec: str,
    resolution: int,
    data_root: Path | None = None,
    download: bool = False,
    cache_dir: Path | None = None,
) -> ImageSet:
    """The images that ``spec`` names, as RGB squares of ``resolution`` pixels.

    ``spec`` is ``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``, ``celeba``, ``folder:PATH``
    or ``zip:PATH``; ``data_root`` (default ``data``) and ``download`` are for torchvision's.
    Decoded pixels of larger sets are kept below ``cache_dir`` (default: the environment's
    ``P2PGAN_CACHE``, else ``~/.cache/p2pgan``). Broken images are left out, with a warning.

    Raises DatasetError: unknown spec, nothing there, no images, corrupt or dangerous archive.
    """
    source = open_source(spec, data_root, download)
    broken: list[int] = []
    if len(source) * _image_bytes(resolution) <= IN_MEMORY_BYTES:
        squares = list(_squares(source, resolution, broken))
        return ImageSet(np.stack(squares), _labels(source, broken))
    folder = cache_dir or Path(os.environ.get("P2PGAN_CACHE", "~/.cache/p2pgan"))
    try:
        path = _cached_file(source, resolution, folder.expanduser(), broken)
    except OSError as error:
        raise DatasetError(
            f"decoded images cannot be kept in {folder} ({error.strerror}); set P2PGAN_CACHE to another"
        ) from error
    flat = np.memmap(path, dtype=np.uint8, mode="r")
    return ImageSet(flat.reshape(-1, 3, resolution, resolution), _labels(source, broken))


def _labels(source: Source, broken: list[int]) -> list[int]:
    """Classes of the images that could be decoded; none if there are fewer than two classes."""
    left_out = set(broken)
    labels = [label for index, label in enumerate(source.labels()) if index not in left_out]
    return labels if len(set(labels)) > 1 else []


def _cached_file(source: Source, resolution: int, folder: Path, broken: list[int]) -> Path:
    """The file of decoded pixels, made if it is not there. It appears under its name when complete.

    ``broken`` takes the indices of images that are not in it. They are kept in a second file, if there
    are any and they matter, because the images have classes.
    """
    key = blob_digest(f"{source.identity} {resolution} {PREPARATION}".encode())[:16]
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", source.name)[:60]
    path = folder / f"{name}-{resolution}px-{key}.u8"
    notes = path.with_suffix(".broken.json")
    if path.exists() and (
        path.stat().st_size == len(source) * _image_bytes(resolution) or not source.labels()
    ):
        return path
    if path.exists() and notes.exists():
        broken += json.loads(notes.read_text(encoding="utf-8"))
        return path
    folder.mkdir(parents=True, exist_ok=True)
    log.info("decoding %d images of %s once, into %s", len(source), source.name, path)
    handle, temporary_name = tempfile.mkstemp(prefix=path.name, dir=folder)
    temporary = Path(temporary_name)
    try:
        with os.fdopen(handle, "wb") as out:
            for square in _squares(source, resolution, broken):
                out.write(square.data)
        if broken and source.labels():
            notes.write_text(json.dumps(broken), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _squares(source: Source, resolution: int, broken: list[int]) -> Iterator[npt.NDArray[np.uint8]]:
    """The images that can be decoded; the others' indices go to ``broken``.

    Raises DatasetError, at the end, if there were none.
    """
    names = []
    for index, (name, image) in enumerate(source):
        if image is None:
            names.append(name)
            broken.append(index)
        else:
            yield to_square(image, resolution)
    if len(names) == len(source):
        raise DatasetError(f"none of the images of {source.name} can be decoded: {_some(names)}")
    if names:
        verb = "is" if len(names) == 1 else "are"
        number = counted(len(names), "broken image")
        log.warning("%s %s left out of %s: %s", number, verb, source.name, _some(names))


def _some(names: list[str]) -> str:
    """The first few of them; a name in an archive may be anything."""
    more = len(names) - NAMES_SHOWN
    return printable(", ".join(names[:NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _image_bytes(resolution: int) -> int:
    return 3 * resolution * resolution
