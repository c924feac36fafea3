"""The nets of the ring of Gaussians: an own net whose images are of one colour, and so stand for a point."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pgan.gan.config import ModelConfig

HIDDEN = 64
FREQUENCIES = (3.0, 6.0)


class Points(nn.Module):
    """Noise to images whose red and green are a point's coordinates."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.side = config.resolution
        self.layers = _layers(config.latent_dim, 2)

    def forward(self, latents: Tensor) -> Tensor:
        point = torch.tanh(self.layers(latents))
        colour = torch.cat([point, torch.zeros_like(point[:, :1])], dim=1)
        return colour[:, :, None, None].expand(-1, -1, self.side, self.side)


class Judge(nn.Module):
    """Looks at one pixel: all are alike. Sines of its coordinates let a small net tell near points apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = _layers(2 + 4 * len(FREQUENCIES), 1)

    def forward(self, images: Tensor) -> Tensor:
        point = images[:, :2, 0, 0]
        waves = [wave(frequency * point) for frequency in FREQUENCIES for wave in (torch.sin, torch.cos)]
        found: Tensor = self.layers(torch.cat([point, *waves], dim=1))
        return found.squeeze(1)


def _layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Linear(inputs, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(0.2)),
        nn.Linear(HIDDEN, outputs),
    )


class Ring:
    """The pair, as ``--model`` takes it."""

    @staticmethod
    def generator(config: ModelConfig) -> nn.Module:
        return Points(config)

    @staticmethod
    def discriminator(config: ModelConfig) -> nn.Module:
        return Judge()
