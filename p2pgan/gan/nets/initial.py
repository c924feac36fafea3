"""Initial weights: He's, drawn from a source of our own, layer by layer."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from p2pgan.errors import ConfigError
from p2pgan.gan.nets.layers import LEAK


@torch.no_grad()
def initialise(network: nn.Module, source: torch.Generator) -> None:
    """Fills every parameter, in the order of ``modules()``.

    He initialisation for leaky ReLU (He et al., 2015), times a layer's ``initial_scale`` if it has one;
    biases 0, norms the identity. A network with an ``initial_std`` has that for all weights. A layer with
    a method ``initialise(source)`` fills itself. Raises ConfigError for parameters nobody can fill.
    """
    std: float | None = getattr(network, "initial_std", None)
    for layer in network.modules():
        own = getattr(layer, "initialise", None)
        if own is not None:
            own(source)
        elif isinstance(layer, _BatchNorm):
            layer.reset_running_stats()
            _identity(layer)
        elif any(True for _ in layer.parameters(recurse=False)):
            _initialise(layer, source, std)


def _initialise(layer: nn.Module, source: torch.Generator, std: float | None) -> None:
    if isinstance(layer, nn.GroupNorm | nn.LayerNorm):
        _identity(layer)
    elif isinstance(layer, nn.Embedding):
        nn.init.normal_(layer.weight, generator=source)
    elif isinstance(layer, nn.Linear | _ConvNd):
        if std is None:
            gain = math.sqrt(2.0 / (1.0 + LEAK**2)) * getattr(layer, "initial_scale", 1.0)
            std = gain / math.sqrt(_fan_in(layer))
        nn.init.normal_(layer.weight, std=std, generator=source)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    else:
        raise ConfigError(
            f"a layer of type {type(layer).__name__} has weights that nobody fills; "
            "give it a method initialise(source) that draws them from a torch.Generator"
        )


def _identity(norm: nn.Module) -> None:
    for name, value in norm.named_parameters(recurse=False):
        nn.init.constant_(value, 1.0 if name == "weight" else 0.0)


def _fan_in(layer: nn.Linear | _ConvNd) -> float:
    """Inputs that one output element sums over."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    taps = math.prod(layer.kernel_size)
    if isinstance(layer, _ConvTransposeNd):
        # A stride of s spreads the taps over s x s outputs. The first layer, from 1 x 1, has one each.
        taps = 1 if layer.stride[0] == 1 else taps // math.prod(layer.stride)
    return layer.in_channels * taps / layer.groups
