"""The networks: pairs of generator and discriminator by name.

All draw and judge RGB images in [-1, 1]. The generator maps noise ``(n, latent_dim)`` to
``(n, 3, R, R)``, the discriminator an image to one logit, ``(n,)``. With classes both also take
labels, int64 ``(n,)``: the generator embeds them, the discriminator projects on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from p2pgan.averaging.flatten import Layout, layout_of
from p2pgan.gan import own
from p2pgan.gan.config import ModelConfig
from p2pgan.gan.nets.dcgan import DcganDiscriminator, DcganGenerator
from p2pgan.gan.nets.initial import initialise
from p2pgan.gan.nets.layers import settle
from p2pgan.gan.nets.mlp import MlpDiscriminator, MlpGenerator
from p2pgan.gan.nets.r3 import R3Discriminator, R3Generator
from p2pgan.gan.nets.resnet import ResnetDiscriminator, ResnetGenerator
from p2pgan.gan.randomness import generator_for

Make = Callable[[ModelConfig], nn.Module]


@dataclass(frozen=True)
class Nets:
    """How a pair of networks is made."""

    generator: Make
    discriminator: Make


NETS: Mapping[str, Nets] = {
    "mlp": Nets(MlpGenerator, MlpDiscriminator),
    "dcgan": Nets(DcganGenerator, DcganDiscriminator),
    "resnet": Nets(ResnetGenerator, ResnetDiscriminator),
    "r3": Nets(R3Generator, R3Discriminator),
}


def build(config: ModelConfig, seed: int) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator on the CPU; the same seed gives the same weights.

    Raises ConfigError for an own net whose file was not given on this machine, or that cannot be built.
    """
    return build_generator(config, seed), _build(nets_for(config).discriminator, config, seed, "D")


def build_generator(config: ModelConfig, seed: int) -> nn.Module:
    """The generator alone, as ``build`` makes it."""
    return _build(nets_for(config).generator, config, seed, "G")


def layout_for(config: ModelConfig) -> Layout:
    """The layout of the configured networks, without the cost of building them."""
    nets = nets_for(config)
    with torch.device("meta"):
        return layout_of(nets.generator(config), nets.discriminator(config))


def nets_for(config: ModelConfig) -> Nets:
    """The networks of that name. Raises ConfigError for an own net whose file was not given here."""
    known = NETS.get(config.name)
    if known is not None:
        return known
    found = own.find(config.name)
    return Nets(found.generator, found.discriminator)


def run_network(network: nn.Module, inputs: Tensor, labels: Tensor | None) -> Tensor:
    """``network`` on noise or images; labels are passed on only if there are any."""
    outputs: Tensor = network(inputs) if labels is None else network(inputs, labels)
    return outputs


def _build(make: Make, config: ModelConfig, seed: int, name: str) -> nn.Module:
    # Built without memory, then filled from a generator of our own: the process-wide random state
    # is neither read nor moved, so building is safe beside other threads.
    with torch.device("meta"):
        module = make(config)
    module.to_empty(device="cpu")
    initialise(module, generator_for(seed, "weights", name))
    settle(module)
    return module
