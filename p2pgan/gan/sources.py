"""Where images come from: a SPEC becomes something to iterate over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from p2pgan.errors import DatasetError
from p2pgan.gan.files import FolderSource, NamedImage, ZipSource, listing_identity
from p2pgan.protocol.texts import shortened


class Source(Protocol):
    """Images in a fixed order, not yet scaled."""

    name: str
    identity: str
    """Another one whenever the images may be others."""

    def __len__(self) -> int:
        """Images, the broken ones included."""
        ...

    def __iter__(self) -> Iterator[NamedImage]:
        """Each image with its name."""
        ...

    def labels(self) -> Sequence[int]:
        """The class of each image, from 0; empty if there are no classes."""
        ...


class DigitsSource:
    """The 1797 handwritten digits that come with scikit-learn, 8 x 8 in 17 greys.

    A black margin is added: they touch their borders, and would run into each other in a grid.
    """

    name = "digits"
    identity = "digits"

    def __init__(self) -> None:
        # Imported where it is used: it takes longer than the rest of the package together.
        from sklearn.datasets import load_digits

        digits = load_digits()
        self._images, self._labels = digits.images, digits.target

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[NamedImage]:
        for index, greys in enumerate(self._images):
            grey = np.rint(greys * (255 / 16)).astype(np.uint8)
            yield f"image {index}", Image.fromarray(np.pad(grey, 1))

    def labels(self) -> Sequence[int]:
        return [int(label) for label in self._labels]


class TorchvisionSource:
    """One of torchvision's datasets, in torchvision's folders below the data root."""

    def __init__(self, name: str, root: Path, download: bool) -> None:
        """Raises DatasetError if the files are not there, or cannot be downloaded."""
        from torchvision import datasets

        make: Mapping[str, Callable[[], Any]] = {
            "mnist": lambda: datasets.MNIST(str(root), train=True, download=download),
            "fashion-mnist": lambda: datasets.FashionMNIST(str(root), train=True, download=download),
            "cifar10": lambda: datasets.CIFAR10(str(root), train=True, download=download),
            "celeba": lambda: datasets.CelebA(str(root), split="all", target_type=[], download=download),
        }
        self.name = name
        try:
            self._items = make[name]()
        except (RuntimeError, OSError) as error:
            raise DatasetError(_missing_line(name, root, download, error)) from error
        files = sorted(file for file in root.rglob("*") if file.is_file())
        self.identity = f"{name} {listing_identity(root, files)}"

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[NamedImage]:
        for index in range(len(self._items)):
            yield f"image {index}", self._read(index)

    def labels(self) -> Sequence[int]:
        # CelebA's attributes are no classes, and are not loaded.
        return [int(label) for label in getattr(self._items, "targets", ())]

    def _read(self, index: int) -> Image.Image | None:
        try:
            image: Image.Image = self._items[index][0]
        except OSError:
            return None
        return image


TORCHVISION_NAMES = ("mnist", "fashion-mnist", "cifar10", "celeba")


def open_source(spec: str, data_root: Path | None = None, download: bool = False) -> Source:
    """The images that a SPEC names; see ``data.open_images``. Raises DatasetError."""
    try:
        return _open_source(spec, data_root, download)
    except OSError as error:
        raise DatasetError(
            f"the data set {shortened(spec)} cannot be read: {error.strerror}; check its path"
        ) from error


def _open_source(spec: str, data_root: Path | None, download: bool) -> Source:
    kind, _, path = spec.partition(":")
    if kind in ("folder", "zip"):
        if not path:
            raise DatasetError(f"{spec!r} lacks a path; write {kind}:PATH")
        place = _at_home(path)
        return FolderSource(place) if kind == "folder" else ZipSource(place)
    if spec == "digits":
        return DigitsSource()
    if spec in TORCHVISION_NAMES:
        return TorchvisionSource(spec, _at_home(data_root or "data"), download)
    names = ", ".join(("digits", *TORCHVISION_NAMES))
    hint = f"did you mean {near}?" if (near := _meant(spec)) else f"choose {names}, folder:PATH or zip:PATH"
    raise DatasetError(f"unknown dataset {shortened(spec)!r}; {hint}")


def _at_home(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DatasetError(f"{shortened(str(path))} is in no user's home: {error}") from error


def _meant(spec: str) -> str | None:
    """What somebody who wrote ``spec`` may have meant: a path without its kind, or a name with a slip."""
    place = Path(spec)
    if place.is_dir():
        return f"folder:{spec}"
    if place.suffix.lower() == ".zip":
        return f"zip:{spec}"
    near = get_close_matches(spec.lower().replace("_", "-"), ("digits", *TORCHVISION_NAMES), n=1)
    return near[0] if near else None


def _missing_line(name: str, root: Path, download: bool, error: Exception) -> str:
    if download:
        first = str(error).strip().partition("\n")[0]
        return f"{name} could not be downloaded to {root}: {first or type(error).__name__}"
    return f"{name} is not below {root}; add --download, or name its folder with --data-root"
