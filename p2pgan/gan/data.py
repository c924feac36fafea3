"""The images of a run, ready for training: decoded, cropped and scaled once, kept as uint8."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import DatasetError
from p2pgan.gan.decode import to_square
from p2pgan.gan.sources import Source, open_source
from p2pgan.protocol.texts import counted, printable

IN_MEMORY_BYTES = 16 * 1024 * 1024
"""Sets up to this size are decoded anew each time; larger ones are cached in a file."""
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
    """Decoded images as one array, in memory or mapped from a file."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        """``pixels``: shape ``(count, 3, R, R)``, C order."""
        self._pixels = pixels
        self.count = int(pixels.shape[0])
        self.resolution = int(pixels.shape[2])
        self.fingerprint = Fingerprint(self.count, self.resolution, blob_digest(pixels.reshape(-1).data))

    def batch(self, indices: Tensor) -> Tensor:
        """A copy of some images: uint8, shape ``(len(indices), 3, R, R)``."""
        return torch.from_numpy(np.asarray(self._pixels[indices.numpy()]))


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
    if len(source) * _image_bytes(resolution) <= IN_MEMORY_BYTES:
        squares = list(_squares(source, resolution))
        return ImageSet(np.stack(squares))
    folder = cache_dir or Path(os.environ.get("P2PGAN_CACHE", "~/.cache/p2pgan"))
    try:
        path = _cached_file(source, resolution, folder.expanduser())
    except OSError as error:
        raise DatasetError(
            f"decoded images cannot be kept in {folder} ({error.strerror}); set P2PGAN_CACHE to another"
        ) from error
    flat = np.memmap(path, dtype=np.uint8, mode="r")
    return ImageSet(flat.reshape(-1, 3, resolution, resolution))


def _cached_file(source: Source, resolution: int, folder: Path) -> Path:
    """The file of decoded pixels, made if it is not there. It appears under its name when complete."""
    key = blob_digest(f"{source.identity} {resolution} {PREPARATION}".encode())[:16]
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", source.name)[:60]
    path = folder / f"{name}-{resolution}px-{key}.u8"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    log.info("decoding %d images of %s once, into %s", len(source), source.name, path)
    handle, temporary_name = tempfile.mkstemp(prefix=path.name, dir=folder)
    temporary = Path(temporary_name)
    try:
        with os.fdopen(handle, "wb") as out:
            for square in _squares(source, resolution):
                out.write(square.data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _squares(source: Source, resolution: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The images that can be decoded. Raises DatasetError, at the end, if there were none."""
    broken = []
    for name, image in source:
        if image is None:
            broken.append(name)
        else:
            yield to_square(image, resolution)
    if len(broken) == len(source):
        raise DatasetError(f"none of the images of {source.name} can be decoded: {_some(broken)}")
    if broken:
        verb = "is" if len(broken) == 1 else "are"
        number = counted(len(broken), "broken image")
        log.warning("%s %s left out of %s: %s", number, verb, source.name, _some(broken))


def _some(names: list[str]) -> str:
    """The first few of them; a name in an archive may be anything."""
    more = len(names) - NAMES_SHOWN
    return printable(", ".join(names[:NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _image_bytes(resolution: int) -> int:
    return 3 * resolution * resolution
