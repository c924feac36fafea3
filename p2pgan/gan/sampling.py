"""Draws images from a generator's weights, and writes them as PNG."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import build_generator, run_network
from p2pgan.gan.nets.statistics import recompute_statistics
from p2pgan.gan.output import write_whole
from p2pgan.gan.randomness import image_latents

BATCH = 64
"""Images drawn at once, always: another batch size may round differently."""
DIGITS = 6
"""In the names of single images, at least."""
GAP = 2
"""Pixels between the images of a grid."""


class Generator:
    """Weights that images can be drawn from."""

    def __init__(self, config: GanConfig, generator_vector: Tensor) -> None:
        """``generator_vector``: float32, the generator's part of a canonical vector or its EMA.

        Raises WeightsError if it does not fit the configured networks.
        """
        self.config = config
        self._network = build_generator(config.model, config.seed).requires_grad_(False)
        needed = sum(parameter.numel() for parameter in self._network.parameters())
        if tuple(generator_vector.shape) != (needed,):
            raise WeightsError(
                f"the weights have shape {tuple(generator_vector.shape)}, but the generator needs ({needed},)"
            )
        vector_to_parameters(generator_vector.detach().to(torch.float32).clone(), self._network.parameters())
        recompute_statistics(self._network, config.model)

    def sample(self, n: int, seed: int = 1, label: int | None = None) -> Tensor:
        """``n`` images: uint8, shape ``(n, 3, H, W)``.

        Image ``i`` depends on the weights, the seed and ``i`` alone, not on ``n``; on one machine
        it is the same to the bit. With classes, image ``i`` is of class ``i`` modulo their number, or of
        ``label``. Raises ConfigError if ``n`` is not positive or there is no such class.
        """
        return torch.cat(list(self.batches(n, seed, label)))

    def batches(self, n: int, seed: int = 1, label: int | None = None) -> Iterator[Tensor]:
        """The same images in turn, up to ``BATCH`` at once: for more than fit into memory."""
        if n < 1:
            raise ConfigError(f"{n} images cannot be drawn; ask for at least one")
        classes = self.config.model.num_classes
        if label is not None and not 0 <= label < classes:
            known = f"0 to {classes - 1}" if classes else "none: the run ignores classes"
            raise ConfigError(f"there is no class {label}; there are {known}")
        for first in range(0, n, BATCH):
            yield self._batch(seed, first, label)[: n - first]

    def interpolate(self, start: int, end: int, steps: int = 8, seed: int = 1) -> Tensor:
        """The way from image ``start`` of ``sample`` to image ``end``: uint8, shape ``(steps, 3, H, W)``.

        It follows the great arc between their noise (White, 2016): points on the straight line are nearer
        to 0 than noise ever is. With classes all are of the first one's. Raises ConfigError for fewer than
        two steps or an index below 0.
        """
        if steps < 2 or min(start, end) < 0:
            raise ConfigError(
                f"{steps} steps from image {start} to {end}: give at least 2, and no index below 0"
            )
        dim, classes = self.config.model.latent_dim, self.config.model.num_classes
        a, b = (image_latents(seed, index, 1, dim) for index in (start, end))
        angle = torch.nn.functional.cosine_similarity(a, b).clamp(-1, 1).arccos().clamp(min=1e-4)
        way = torch.linspace(0, 1, steps)[:, None]
        latents = (((1 - way) * angle).sin() * a + (way * angle).sin() * b) / angle.sin()
        labels = torch.full((steps,), start) % classes if classes else None
        return torch.cat(
            [
                self._draw(part, None if labels is None else labels[: len(part)])
                for part in torch.split(latents, BATCH)
            ]
        )

    def _batch(self, seed: int, first: int, label: int | None) -> Tensor:
        classes = self.config.model.num_classes
        labels = torch.arange(first, first + BATCH) % classes if classes else None
        if labels is not None and label is not None:
            labels.fill_(label)
        return self._draw(image_latents(seed, first, BATCH, self.config.model.latent_dim), labels)

    def _draw(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        with torch.inference_mode():
            images = run_network(self._network, latents, labels)
            return images.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def grid_png(images: Tensor) -> bytes:
    """A PNG that shows images (uint8, ``(n, 3, H, W)``) row by row in a near-square grid."""
    count, _, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP)
    grid = Image.new("RGB", size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        grid.paste(_picture(image), (column * (width + GAP), row * (height + GAP)))
    return _png(grid)


def write_grid(images: Tensor, path: Path) -> None:
    """Writes a grid to a ``.png`` path. Raises ConfigError if it cannot be written."""
    write_whole(path, grid_png(images))


def write_images(batches: Iterable[Tensor], folder: Path, count: int) -> Iterator[Path]:
    """Writes each image as ``000000.png`` and so on, and yields its path once it is there.

    ``count`` is how many there are: with more than a million, names have more digits, so that their
    order stays that of the images. Raises ConfigError if one cannot be written.
    """
    digits = max(DIGITS, len(str(count - 1)))
    for index, image in enumerate(itertools.chain.from_iterable(batches)):
        path = folder / f"{index:0{digits}d}.png"
        write_whole(path, _png(_picture(image)))
        yield path


def _picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
