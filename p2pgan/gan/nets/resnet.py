"""Residual nets with a spectrally normalised discriminator (Miyato et al., 2018), for 32 and 64 px."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pgan.gan.config import ModelConfig
from p2pgan.gan.nets.layers import LabelledNoise, Projection, SpectralConv2d, SpectralLinear, norm_layer

INNER = 4
"""Pixels of the innermost feature maps."""


class ResnetGenerator(nn.Module):
    """A dense layer to 4 x 4, then blocks that each double the size."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = _generator_channels(config)
        self.noise = LabelledNoise(config)
        self.first = nn.Linear(self.noise.width, channels[0] * INNER**2)
        self.blocks = nn.Sequential(*(_UpBlock(a, b, config.norm) for a, b in pairwise(channels)))
        self.last = nn.Sequential(
            *norm_layer(config.norm, channels[-1]), nn.ReLU(), nn.Conv2d(channels[-1], 3, 3, padding=1)
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        inner = self.first(self.noise(latents, labels)).unflatten(1, (-1, INNER, INNER))
        return torch.tanh(self.last(self.blocks(inner)))


class ResnetDiscriminator(nn.Module):
    """Blocks that halve the size, features summed over their places, one dense layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        if config.resolution == 32:
            steps = [(3, width, True), (width, width, True), (width, width, False), (width, width, False)]
        else:
            sizes = [3, *(width * 2**i for i in range(5))]
            steps = [(a, b, b != sizes[-1]) for a, b in pairwise(sizes)]
        self.blocks = nn.Sequential(
            *(_DownBlock(a, b, halves, first=a == 3) for a, b, halves in steps), nn.ReLU()
        )
        self.last = SpectralLinear(steps[-1][1], 1)
        if config.num_classes:
            self.projection = Projection(config.num_classes, steps[-1][1])

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features: Tensor = self.blocks(images).sum(dim=(2, 3))
        logits: Tensor = self.last(features).squeeze(1)
        return logits if labels is None else logits + self.projection(features, labels)


class _UpBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *norm_layer(norm, inputs),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            *norm_layer(norm, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        # A convolution of single pixels may come before the doubling, which makes it four times cheaper.
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2))

    def forward(self, features: Tensor) -> Tensor:
        total: Tensor = self.residual(features) + self.shortcut(features)
        return total


class _DownBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, halves: bool, first: bool) -> None:
        super().__init__()
        self.halves = halves
        self.residual = nn.Sequential(
            *([] if first else [nn.ReLU()]),
            SpectralConv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(),
            SpectralConv2d(outputs, outputs, 3, padding=1),
        )
        changes = halves or inputs != outputs
        self.shortcut = SpectralConv2d(inputs, outputs, 1) if changes else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        residual, kept = self.residual(features), features
        if self.halves:
            residual, kept = F.avg_pool2d(residual, 2), F.avg_pool2d(kept, 2)
        total: Tensor = residual + self.shortcut(kept)
        return total


def _generator_channels(config: ModelConfig) -> list[int]:
    """Channels before the first block and after each, from 4 px to the image's size."""
    if config.resolution == 32:
        return [2 * config.width] * 4
    return [config.width * 2**i for i in range(4, -1, -1)]
