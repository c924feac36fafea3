"""Draws images from a generator's weights, and writes them as PNG."""

from __future__ import annotations

import io
import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import build_generator
from p2pgan.gan.output import write_whole
from p2pgan.gan.randomness import image_latents

BATCH = 64
"""Images drawn at once, always: another batch size may round differently."""
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

    def sample(self, n: int, seed: int = 1) -> Tensor:
        """``n`` images: uint8, shape ``(n, 3, H, W)``.

        Image ``i`` depends on the weights, the seed and ``i`` alone, not on ``n``; on one machine
        it is the same to the bit. Raises ConfigError if ``n`` is not positive.
        """
        if n < 1:
            raise ConfigError(f"{n} images cannot be drawn; ask for at least one")
        batches = [self._batch(seed, first) for first in range(0, n, BATCH)]
        return torch.cat(batches)[:n]

    def _batch(self, seed: int, first: int) -> Tensor:
        with torch.inference_mode():
            images: Tensor = self._network(image_latents(seed, first, BATCH, self.config.model.latent_dim))
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


def write_images(images: Tensor, folder: Path) -> list[Path]:
    """Writes each image as ``000000.png`` and so on. Raises ConfigError if that cannot be."""
    paths = [folder / f"{index:06d}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        write_whole(path, _png(_picture(image)))
    return paths


def _picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
