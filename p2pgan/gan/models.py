"""The networks: pairs of generator and discriminator by name.

All draw and judge RGB images in [-1, 1]. The generator maps ``(n, latent_dim)`` to
``(n, 3, R, R)``, the discriminator an image to one logit, ``(n,)``. There are no batch
statistics, so that averaging parameters averages the whole network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from p2pgan.averaging.flatten import Layout, layout_of
from p2pgan.errors import InternalError
from p2pgan.gan.config import ModelConfig
from p2pgan.gan.randomness import generator_for

LEAK = 0.2
NORM_GROUPS = 8
MLP_WIDTHS = (256, 512, 1024)


class MlpGenerator(nn.Module):
    """latent-256-512-1024-3072 with leaky ReLU, tanh at the end."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.resolution = config.resolution
        self.layers = _dense([config.latent_dim, *MLP_WIDTHS, 3 * config.resolution**2])

    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(self.layers(latents)).view(-1, 3, self.resolution, self.resolution)


class MlpDiscriminator(nn.Module):
    """3072-1024-512-256-1 with leaky ReLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = _dense([3 * config.resolution**2, *reversed(MLP_WIDTHS), 1])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images.flatten(1))
        return logits.squeeze(1)


class DcganGenerator(nn.Module):
    """Transposed convolutions from 4 x 4 up, each doubling the size (Radford et al., 2016).

    GroupNorm (Wu and He, 2018) in place of batch normalisation.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = _channels(config)
        layers: list[nn.Module] = [
            nn.Unflatten(1, (config.latent_dim, 1, 1)),
            nn.ConvTranspose2d(config.latent_dim, channels[-1], 4, bias=False),
        ]
        for inner, outer in zip(reversed(channels), [*reversed(channels[:-1]), 3], strict=True):
            layers += [nn.GroupNorm(NORM_GROUPS, inner), nn.LeakyReLU(LEAK)]
            layers.append(nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=outer == 3))
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(self.layers(latents))


class DcganDiscriminator(nn.Module):
    """Strided convolutions down to 4 x 4, without normalisation: R1 needs single images' gradients."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = _channels(config)
        layers: list[nn.Module] = []
        for outer, inner in zip([3, *channels[:-1]], channels, strict=True):
            layers += [nn.Conv2d(outer, inner, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        layers += [nn.Conv2d(channels[-1], 1, 4), nn.Flatten(0)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


GENERATORS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "mlp": MlpGenerator,
    "dcgan": DcganGenerator,
}
DISCRIMINATORS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "mlp": MlpDiscriminator,
    "dcgan": DcganDiscriminator,
}


def build(config: ModelConfig, seed: int) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator on the CPU; the same seed gives the same weights."""
    return build_generator(config, seed), _build(DISCRIMINATORS[config.name], config, seed, "D")


def build_generator(config: ModelConfig, seed: int) -> nn.Module:
    """The generator alone, as ``build`` makes it."""
    return _build(GENERATORS[config.name], config, seed, "G")


def layout_for(config: ModelConfig) -> Layout:
    """The layout of the configured networks, without the cost of building them."""
    with torch.device("meta"):
        return layout_of(GENERATORS[config.name](config), DISCRIMINATORS[config.name](config))


def _build(
    network: Callable[[ModelConfig], nn.Module], config: ModelConfig, seed: int, name: str
) -> nn.Module:
    # Built without memory, then filled from a generator of our own: the process-wide random state
    # is neither read nor moved, so building is safe beside other threads.
    with torch.device("meta"):
        module = network(config)
    module.to_empty(device="cpu")
    source = generator_for(seed, "weights", name)
    with torch.no_grad():
        for layer in module.modules():
            _initialise(layer, source)
    return module


def _initialise(layer: nn.Module, source: torch.Generator) -> None:
    """He initialisation for leaky ReLU (He et al., 2015); biases 0, norms the identity."""
    if not any(True for _ in layer.parameters(recurse=False)):
        return
    if isinstance(layer, nn.GroupNorm):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        return
    if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        raise InternalError(f"no initialisation for a layer of type {type(layer).__name__}")
    gain = math.sqrt(2.0 / (1.0 + LEAK**2))
    nn.init.normal_(layer.weight, std=gain / math.sqrt(_fan_in(layer)), generator=source)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _fan_in(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Inputs that one output element sums over."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    taps = layer.kernel_size[0] * layer.kernel_size[1]
    if isinstance(layer, nn.ConvTranspose2d):
        # A stride of s spreads the taps over s x s outputs. The first layer, from 1 x 1, has one each.
        taps = 1 if layer.stride[0] == 1 else taps // (layer.stride[0] * layer.stride[1])
    return layer.in_channels * taps


def _channels(config: ModelConfig) -> list[int]:
    """Channels of the feature maps from the image side (R/2 pixels wide) to the inner 4 x 4 one."""
    doublings = int(math.log2(config.resolution)) - 2
    return [config.width * 2**i for i in range(doublings)]


def _dense(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers[:-1])
