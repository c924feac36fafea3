"""Residual nets without normalisation, after R3GAN (Huang et al., 2024).

Blocks with grouped convolutions and wide middles, smooth resampling, and an initialisation under
which each block starts as the identity (fix-up, Zhang et al., 2019), in sizes that train on a CPU.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from p2pgan.gan.config import ModelConfig
from p2pgan.gan.nets.layers import LEAK, LabelledNoise, Projection, doublings, scaled

INNER = 4
"""Pixels of the innermost feature maps."""
EXPANSION = 2
"""Channels in a block's middle, for each outside."""
GROUP_CHANNELS = 16
MOST_CHANNELS = 4
"""Of the inner feature maps, in widths."""
BLOCKS = {"tiny": 1, "small": 2}
"""Residual blocks at each resolution."""
LAYERS_OF_A_BLOCK = 3
LINEAR = math.sqrt((1 + LEAK**2) / 2)
"""Takes the gain for a leaky ReLU out of the initialisation where none follows."""
OUTPUT_SCALE = LINEAR / 2
"""Keeps most of the first images within [-1, 1]."""


class R3Generator(nn.Module):
    """A learned 4 x 4 basis that the noise modulates, then blocks and doublings.

    The output is linear: pixels may leave [-1, 1] a little, and are cut off when images are drawn.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = _channels(config)[::-1]
        self.noise = LabelledNoise(config)
        self.first = scaled(nn.Linear(self.noise.width, channels[0], bias=False), LINEAR)
        self.basis = _Basis(channels[0])
        layers = _blocks(config, channels[0], len(channels))
        for inner, outer in pairwise(channels):
            layers.append(_resampled(nn.Upsample(scale_factor=2, mode="bilinear"), inner, outer))
            layers += _blocks(config, outer, len(channels))
        self.layers = nn.Sequential(*layers)
        self.last = scaled(nn.Conv2d(channels[-1], 3, 1, bias=False), OUTPUT_SCALE)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        weights: Tensor = self.first(self.noise(latents, labels))
        images: Tensor = self.last(self.layers(self.basis(weights)))
        return images


class R3Discriminator(nn.Module):
    """Blocks and halvings down to 4 x 4, which a depthwise convolution sums up."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = _channels(config)
        layers: list[nn.Module] = [scaled(nn.Conv2d(3, channels[0], 1, bias=False), LINEAR)]
        for outer, inner in pairwise(channels):
            layers += _blocks(config, outer, len(channels))
            layers.append(_resampled(nn.AvgPool2d(2), outer, inner))
        inner = channels[-1]
        layers += _blocks(config, inner, len(channels))
        sums = scaled(nn.Conv2d(inner, inner, INNER, groups=inner, bias=False), LINEAR)
        layers += [sums, nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        self.last = scaled(nn.Linear(inner, 1, bias=False), LINEAR)
        if config.num_classes:
            self.projection = Projection(config.num_classes, inner)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features: Tensor = self.layers(images)
        logits: Tensor = self.last(features).squeeze(1)
        return logits if labels is None else logits + self.projection(features, labels)


class _Basis(nn.Module):
    """Weights ``(n, C)`` times one learned 4 x 4 map for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.empty(channels, INNER, INNER))

    def initialise(self, source: torch.Generator) -> None:
        nn.init.normal_(self.maps, generator=source)

    def forward(self, weights: Tensor) -> Tensor:
        return weights[:, :, None, None] * self.maps


class _Block(nn.Module):
    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        middle = channels * EXPANSION
        groups = middle // GROUP_CHANNELS
        # All blocks together then learn as fast as one; and each adds nothing at the start.
        scale = blocks ** (-1 / (2 * LAYERS_OF_A_BLOCK - 2))
        self.layers = nn.Sequential(
            scaled(nn.Conv2d(channels, middle, 1), scale),
            nn.LeakyReLU(LEAK),
            scaled(nn.Conv2d(middle, middle, 3, padding=1, groups=groups), scale),
            nn.LeakyReLU(LEAK),
            scaled(nn.Conv2d(middle, channels, 1, bias=False), 0.0),
        )

    def forward(self, features: Tensor) -> Tensor:
        total: Tensor = features + self.layers(features)
        return total


def _blocks(config: ModelConfig, channels: int, stages: int) -> list[nn.Module]:
    count = BLOCKS[config.size]
    return [_Block(channels, count * stages) for _ in range(count)]


def _resampled(resample: nn.Module, inputs: int, outputs: int) -> nn.Module:
    """Another size, and other channels where their number changes, on the smaller side."""
    if inputs == outputs:
        return resample
    mix = scaled(nn.Conv2d(inputs, outputs, 1, bias=False), LINEAR)
    return nn.Sequential(mix, resample) if isinstance(resample, nn.Upsample) else nn.Sequential(resample, mix)


def _channels(config: ModelConfig) -> list[int]:
    """Channels at each resolution, from the image's size down to 4 px."""
    return [config.width * min(2**i, MOST_CHANNELS) for i in range(doublings(config.resolution) + 1)]
