"""What several nets are made of: class labels, spectral norm, resampling, normalisation."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pgan.gan.config import ModelConfig

Layer = TypeVar("Layer", bound=nn.Module)

LEAK = 0.2
NORM_GROUPS = 8
TINY = 1e-12
"""Against division by zero."""
SETTLING_ROUNDS = 15
"""Power iterations from a fixed start; further ones change the largest singular value very little."""


def scaled(layer: Layer, scale: float) -> Layer:
    """``layer``, whose initial weights are to be ``scale`` times the usual ones."""
    layer.__dict__["initial_scale"] = scale
    return layer


class ClassTable(nn.Module):
    """A learned row for each class: labels ``(n,)`` to ``(n, width)``.

    As ``nn.Embedding``, but made without memory: torch loads its compiler, for seconds, to do that with one.
    """

    def __init__(self, num_classes: int, width: int, std: float) -> None:
        super().__init__()
        self.std = std
        self.weight = nn.Parameter(torch.empty(num_classes, width))

    def initialise(self, source: torch.Generator) -> None:
        nn.init.normal_(self.weight, std=self.std, generator=source)

    def forward(self, labels: Tensor) -> Tensor:
        return F.embedding(labels, self.weight)


CLASS_STD = 0.25
"""Of a class's first embedding, where the noise has 1. As loud as the noise it drowns it, and a class has one
image soon: on digits, two seeds, an FID of 2.2 in place of 0.6, and half of the variety within a class."""


class LabelledNoise(nn.Module):
    """Noise, and behind it an embedding of the class: ``(n, latent_dim)`` to ``(n, width)``.

    Without classes it is the noise alone, and holds no parameters.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width = config.latent_dim * (2 if config.num_classes else 1)
        if config.num_classes:
            self.classes = ClassTable(config.num_classes, config.latent_dim, std=CLASS_STD)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        return latents if labels is None else torch.cat([latents, self.classes(labels)], dim=1)


class Projection(nn.Module):
    """What a label adds to the logit: the inner product of its embedding and the features.

    The projection discriminator of Miyato and Koyama (2018): features ``(n, C)`` or ``(n, C, h, w)``,
    which are summed over their places, to ``(n,)``. Starts at zero, as if there were no labels.
    """

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.classes = ClassTable(num_classes, channels, std=0.0)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        if features.ndim == 4:
            features = features.sum(dim=(2, 3))
        products: Tensor = features * self.classes(labels)
        return products.sum(dim=1)


class Spectral(nn.Module):
    """The largest singular value of a layer's weight, followed by power iteration.

    Miyato et al. (2018). The iteration goes on when ``advance`` is called, once a step, and not with
    every forward pass: all passes of a step then see the same network, however it is cut into
    microbatches. The vector is a buffer: it follows from the weights and is never averaged.
    """

    weight: Tensor
    direction: Tensor

    def _prepare(self) -> None:
        self.register_buffer("direction", torch.ones(self.weight.shape[0]), persistent=False)

    @torch.no_grad()
    def settle(self) -> None:
        """Finds the value anew, from a start that is always the same."""
        self.direction.copy_(torch.linspace(0.5, 1.5, len(self.direction)))
        self.advance(SETTLING_ROUNDS)

    @torch.no_grad()
    def advance(self, rounds: int = 1) -> None:
        """Follows weights that have moved a little."""
        matrix = self.weight.flatten(1)
        for _ in range(rounds):
            other = F.normalize(matrix.t().mv(self.direction), dim=0)
            self.direction.copy_(F.normalize(matrix.mv(other), dim=0))

    def _normalised(self) -> Tensor:
        # In full precision whatever the layer itself computes with.
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                other = F.normalize(matrix.t().mv(self.direction), dim=0)
            # A copy, because backward still needs it when the iteration goes on in place.
            value = torch.dot(self.direction.clone(), matrix.mv(other))
            return self.weight / value.clamp_min(TINY)


class SpectralConv2d(Spectral, nn.Conv2d):
    """A convolution whose weight, as a matrix, has norm one."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int = 0) -> None:
        nn.Conv2d.__init__(self, inputs, outputs, kernel, padding=padding)
        self._prepare()

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(images, self._normalised(), self.bias, padding=self.padding)


class SpectralLinear(Spectral, nn.Linear):
    """A dense layer whose weight has norm one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        nn.Linear.__init__(self, inputs, outputs)
        self._prepare()

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self._normalised(), self.bias)


def spectral_layers(network: nn.Module) -> tuple[Spectral, ...]:
    """The layers whose norm has to follow the weights."""
    return tuple(layer for layer in network.modules() if isinstance(layer, Spectral))


def settle(network: nn.Module) -> None:
    """Brings what follows from the weights up to date with weights that were replaced."""
    for layer in spectral_layers(network):
        layer.settle()


def norm_layer(kind: str, channels: int) -> list[nn.Module]:
    """``group`` (Wu and He, 2018), ``batch`` (Ioffe and Szegedy, 2015) or nothing at all."""
    if kind == "group":
        return [nn.GroupNorm(NORM_GROUPS, channels)]
    return [nn.BatchNorm2d(channels)] if kind == "batch" else []


def doublings(resolution: int) -> int:
    """How often 4 pixels are doubled to make ``resolution``."""
    return int(math.log2(resolution)) - 2
