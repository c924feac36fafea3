"""Deep convolutional nets (Radford, Metz and Chintala, 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pgan.gan.config import ModelConfig
from p2pgan.gan.nets.layers import LEAK, LabelledNoise, Projection, doublings, norm_layer

PUBLISHED_STD = 0.02
"""Of initial weights, where the net is the published one."""


class DcganGenerator(nn.Module):
    """Transposed convolutions from 4 x 4 up, each doubling the size.

    With ``norm=batch`` it is the published net, with ReLU; else GroupNorm or nothing stands in place of
    batch normalisation, and leaky ReLU.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = _channels(config)
        published = config.norm == "batch"
        self.initial_std = PUBLISHED_STD if published else None
        self.noise = LabelledNoise(config)
        layers: list[nn.Module] = [
            nn.Unflatten(1, (self.noise.width, 1, 1)),
            nn.ConvTranspose2d(self.noise.width, channels[-1], 4, bias=config.norm == "none"),
        ]
        for inner, outer in zip(reversed(channels), [*reversed(channels[:-1]), 3], strict=True):
            layers += [*norm_layer(config.norm, inner), nn.ReLU() if published else nn.LeakyReLU(LEAK)]
            bias = outer == 3 or config.norm == "none"
            layers.append(nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=bias))
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.tanh(self.layers(self.noise(latents, labels)))


class DcganDiscriminator(nn.Module):
    """Strided convolutions down to 4 x 4.

    Without normalisation, because R1 needs single images' gradients; with ``norm=batch`` as it was
    published, with batch normalisation between the first and the last layer.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = _channels(config)
        published = config.norm == "batch"
        self.initial_std = PUBLISHED_STD if published else None
        layers: list[nn.Module] = []
        for outer, inner in zip([3, *channels[:-1]], channels, strict=True):
            layers.append(nn.Conv2d(outer, inner, 4, stride=2, padding=1))
            layers += norm_layer("batch", inner) if published and outer != 3 else []
            layers.append(nn.LeakyReLU(LEAK))
        layers += [nn.Conv2d(channels[-1], 1, 4), nn.Flatten(0)]
        self.layers = nn.Sequential(*layers)
        if config.num_classes:
            self.projection = Projection(config.num_classes, channels[-1])

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features: Tensor = self.layers[:-2](images)
        logits: Tensor = self.layers[-2:](features)
        return logits if labels is None else logits + self.projection(features, labels)


def _channels(config: ModelConfig) -> list[int]:
    """Channels of the feature maps from the image side (R/2 pixels wide) to the inner 4 x 4 one."""
    return [config.width * 2**i for i in range(doublings(config.resolution))]
