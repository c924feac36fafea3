"""Draws images from a generator's weights, and writes them as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from p2pgan.averaging.digest import vector_digest
from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.latents import STOPS, between, drawn_latents, walk_point
from p2pgan.gan.models import build_generator, run_network
from p2pgan.gan.nets.statistics import recompute_statistics
from p2pgan.gan.output import write_whole

BATCH = 64
"""Images drawn at once unless another number is asked for: it may round differently."""
GAP = 2
"""Pixels between the images of a grid."""


class Generator:
    """Weights that images can be drawn from."""

    def __init__(
        self,
        config: GanConfig,
        generator_vector: Tensor,
        device: torch.device | str = "cpu",
        batch_size: int = BATCH,
    ) -> None:
        """``generator_vector``: float32, the generator's part of a canonical vector or its EMA.

        Raises WeightsError if it does not fit the configured networks.
        """
        self.config = config
        self.digest = vector_digest(generator_vector)
        """Names the weights."""
        self.batch_size = batch_size
        self._device = torch.device(device)
        self._network = build_generator(config.model, config.seed).requires_grad_(False)
        needed = sum(parameter.numel() for parameter in self._network.parameters())
        if tuple(generator_vector.shape) != (needed,):
            raise WeightsError(
                f"the weights have shape {tuple(generator_vector.shape)}, but the generator needs ({needed},)"
            )
        vector_to_parameters(generator_vector.detach().to(torch.float32).clone(), self._network.parameters())
        recompute_statistics(self._network, config.model)
        self._network.to(self._device)

    def sample(
        self, n: int, seed: int = 1, label: int | None = None, truncation: float | None = None
    ) -> Tensor:
        """``n`` images: uint8, shape ``(n, 3, H, W)``.

        Image ``i`` depends on the weights, the seed and ``i`` alone, not on ``n``; on one machine and device
        and with one batch size it is the same to the bit. With classes, image ``i`` is of class ``i`` modulo
        their number, or of ``label``. ``truncation`` keeps the noise within so many standard deviations:
        less variety, and fewer odd images. Raises ConfigError if ``n`` or ``truncation`` is not positive or
        there is no such class.
        """
        return torch.cat(list(self.batches(n, seed, label, truncation)))

    def batches(
        self, n: int, seed: int = 1, label: int | None = None, truncation: float | None = None
    ) -> Iterator[Tensor]:
        """The same images in turn, up to ``batch_size`` at once: for more than fit into memory."""
        if n < 1:
            raise ConfigError(f"{n} images cannot be drawn; ask for at least one")
        for first in range(0, n, self.batch_size):
            yield self.batch(first, seed, label, truncation)[: n - first]

    def batch(
        self, first: int, seed: int = 1, label: int | None = None, truncation: float | None = None
    ) -> Tensor:
        """Images ``first`` to ``first + batch_size`` of those that ``sample`` gives."""
        count = self.batch_size
        latents = drawn_latents(seed, first, count, self.config.model.latent_dim, truncation)
        return self._draw(latents, self._labels(torch.arange(first, first + count), label))

    def interpolate(
        self,
        start: int,
        end: int,
        steps: int = 8,
        seed: int = 1,
        label: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """The way from image ``start`` of ``sample`` to image ``end``: uint8, shape ``(steps, 3, H, W)``.

        With classes all are of the first one's, or of ``label``. Raises ConfigError for fewer than two
        steps, and as ``sample`` does.
        """
        if steps < 2 or min(start, end) < 0:
            raise ConfigError(
                f"{steps} steps from image {start} to {end}: give at least 2, and no index below 0"
            )
        dim = self.config.model.latent_dim
        a, b = (drawn_latents(seed, index, 1, dim, truncation) for index in (start, end))
        way = torch.cat([between(a, b, step / (steps - 1)) for step in range(steps)])
        return self.draw(way, self._labels(torch.full((steps,), start), label))

    def walk(
        self, n: int, frames: int, seed: int = 1, label: int | None = None, truncation: float | None = None
    ) -> Iterator[Tensor]:
        """``n`` images as they change on a walk that ends where it began: frames of ``(n, 3, H, W)``."""
        dim = self.config.model.latent_dim
        stops = drawn_latents(seed, 0, STOPS * n, dim, truncation).view(STOPS, n, dim)
        labels = self._labels(torch.arange(n), label)
        for frame in range(frames):
            yield self.draw(walk_point(stops, frame / frames), labels)

    def by_class(self, columns: int, seed: int = 1, truncation: float | None = None) -> Tensor:
        """``columns`` images of each class, class by class; each column has one noise for all classes.

        Raises ConfigError if there are no classes.
        """
        return torch.cat(list(self.class_batches(columns, seed, truncation)))

    def class_batches(self, columns: int, seed: int = 1, truncation: float | None = None) -> Iterator[Tensor]:
        """The same images in turn, up to ``batch_size`` at once."""
        classes = self.config.model.num_classes
        if not classes:
            raise ConfigError("the run ignores classes: draw a grid, or train with --conditional")
        latents = drawn_latents(seed, 0, columns, self.config.model.latent_dim, truncation)
        labels = torch.arange(classes).repeat_interleave(columns)
        return self._in_batches(latents.repeat(classes, 1), labels)

    def draw(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of any noise, float32 ``(n, latent_dim)``, and of classes, int64 ``(n,)``, if there are."""
        return torch.cat(list(self._in_batches(latents, labels)))

    def _in_batches(self, latents: Tensor, labels: Tensor | None) -> Iterator[Tensor]:
        for first in range(0, len(latents), self.batch_size):
            part = slice(first, first + self.batch_size)
            yield self._draw(latents[part], None if labels is None else labels[part])

    def _draw(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        with torch.inference_mode():
            there = None if labels is None else labels.to(self._device)
            images = run_network(self._network, latents.to(self._device), there)
            return images.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()

    def _labels(self, indices: Tensor, label: int | None) -> Tensor | None:
        """Classes of the images at ``indices``. Raises ConfigError if there is no class ``label``."""
        classes = self.config.model.num_classes
        if label is not None and not 0 <= label < classes:
            known = f"; there are 0 to {classes - 1}" if classes else ": it was trained without classes"
            raise ConfigError(f"there is no class {label}{known}")
        if not classes:
            return None
        return indices % classes if label is None else torch.full_like(indices, label)


def grid_png(images: Tensor, columns: int | None = None) -> bytes:
    """A PNG that shows images (uint8, ``(n, 3, H, W)``) row by row in a grid, near-square if left open."""
    return _png(grid_picture(images, columns))


def grid_picture(images: Tensor, columns: int | None = None) -> Image.Image:
    """The grid itself."""
    count, _, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP)
    grid = Image.new("RGB", size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        grid.paste(_picture(image), (column * (width + GAP), row * (height + GAP)))
    return grid


def write_grid(images: Tensor, path: Path, columns: int | None = None) -> None:
    """Writes a grid to a ``.png`` path. Raises ConfigError if it cannot be written."""
    write_whole(path, grid_png(images, columns))


def picture_png(image: Tensor) -> bytes:
    """One image, uint8 ``(3, H, W)``, as a PNG."""
    return _png(_picture(image))


def _picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
