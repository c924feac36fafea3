"""Dense nets for 32 px images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pgan.gan.config import ModelConfig
from p2pgan.gan.nets.layers import LEAK, LabelledNoise, Projection

MLP_WIDTHS = (256, 512, 1024)


class MlpGenerator(nn.Module):
    """latent-256-512-1024-3072 with leaky ReLU, tanh at the end."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.resolution = config.resolution
        self.noise = LabelledNoise(config)
        self.layers = _dense([self.noise.width, *MLP_WIDTHS, 3 * config.resolution**2])

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        pixels = torch.tanh(self.layers(self.noise(latents, labels)))
        return pixels.view(-1, 3, self.resolution, self.resolution)


class MlpDiscriminator(nn.Module):
    """3072-1024-512-256-1 with leaky ReLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = _dense([3 * config.resolution**2, *reversed(MLP_WIDTHS), 1])
        if config.num_classes:
            self.projection = Projection(config.num_classes, MLP_WIDTHS[0])

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features: Tensor = self.layers[:-1](images.flatten(1))
        logits: Tensor = self.layers[-1](features).squeeze(1)
        return logits if labels is None else logits + self.projection(features, labels)


def _dense(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers[:-1])
