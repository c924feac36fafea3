"""From images to the features that all scores are taken on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from p2pgan.errors import ConfigError
from p2pgan.gan.data import ImageSet

BATCH = 64
"""Real images at once; drawn ones come in batches of their own."""
FILTER = "antialiased bicubic"


@dataclass(frozen=True)
class Extractor:
    """A function from images to features, and what has to be said of it beside a score."""

    name: str
    digest: str
    """BLAKE3 of the file of its weights."""
    extract: Callable[[Tensor], Tensor]
    """uint8 ``(n, 3, R, R)`` to float ``(n, d)``."""
    resolution: int | None
    """Images are brought to so many pixels a side before; None: it takes them as they are."""
    own_resize: str | None = None
    """What it does to their size itself, in words."""

    def resize(self, from_resolution: int) -> str:
        """How images of that many pixels a side come to the extractor, in words."""
        if self.own_resize is not None:
            return f"{from_resolution} px to {self.own_resize}"
        if self.resolution in (None, from_resolution):
            return f"none, {from_resolution} px"
        return f"{from_resolution} px to {self.resolution} px, {FILTER}"


def features_of(extractor: Extractor, batches: Iterable[Tensor]) -> Tensor:
    """Features of all images, float32 ``(n, d)``; ``batches`` are uint8 ``(?, 3, R, R)``.

    Raises ConfigError if the extractor fails, or what it gives is not a finite row for each image.
    """
    rows: list[Tensor] = []
    with torch.inference_mode():
        for batch in batches:
            rows.append(_checked(extractor, _resized(batch, extractor.resolution), rows))
    return torch.cat(rows)


def real_batches(images: ImageSet, chosen: Tensor) -> Iterator[Tensor]:
    """Some images of a set, a few at a time; ``chosen``: int64 ``(n,)``."""
    for start in range(0, len(chosen), BATCH):
        yield images.batch(chosen[start : start + BATCH])


def _resized(images: Tensor, resolution: int | None) -> Tensor:
    if resolution in (None, images.shape[-1]):
        return images
    size = (resolution, resolution)
    floats = F.interpolate(images.float(), size, mode="bicubic", align_corners=False, antialias=True)
    return floats.round().clamp(0, 255).to(torch.uint8)


def _checked(extractor: Extractor, images: Tensor, before: list[Tensor]) -> Tensor:
    what = f"the extractor {extractor.name}"
    try:
        features = extractor.extract(images)
    except Exception as error:  # a file of the user's own: whatever its code raises
        first = (str(error).strip().splitlines() or [""])[-1]
        raise ConfigError(
            f"{what} fails on images {tuple(images.shape)}: {type(error).__name__}: {first}"
        ) from error
    if not isinstance(features, Tensor):
        raise ConfigError(f"{what} gives {type(features).__name__}, not a tensor of features (n, d)")
    width = before[0].shape[1] if before else features.shape[-1] if features.ndim else 0
    if features.shape != (len(images), width) or width == 0 or not features.is_floating_point():
        said = f"{features.dtype} {tuple(features.shape)}"
        raise ConfigError(f"{what} gives {said} for {len(images)} images, not floats of shape (n, d)")
    if not bool(features.isfinite().all()):
        raise ConfigError(f"{what} gives features that are not finite")
    return features.to("cpu", torch.float32)
