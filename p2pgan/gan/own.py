"""Own networks: a class in a Python file of this machine, named ``path/to/file.py:CLASS``."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import torch
from torch import nn

from p2pgan.errors import ConfigError
from p2pgan.gan.config import ModelConfig
from p2pgan.gan.own_code import OwnCode


class OwnNet(Protocol):
    """What the class has: two static methods that make the networks from the configuration.

    The generator maps noise ``(n, latent_dim)`` to images ``(n, 3, R, R)`` in [-1, 1], the discriminator
    images to logits ``(n,)``; with ``num_classes`` above 0 both take labels ``(n,)`` as second argument.
    """

    @staticmethod
    def generator(config: ModelConfig) -> nn.Module: ...
    @staticmethod
    def discriminator(config: ModelConfig) -> nn.Module: ...


def use_own_net(spec: str) -> str:
    """Loads the class that ``path/to/file.py:CLASS`` names, and returns its name ``CLASS@DIGEST``.

    Raises ConfigError: no such file or class, it cannot be run, or it is no pair of networks.
    """
    return NETS.use(spec)


def find(name: str) -> OwnNet:
    """The own net of a run or a weights file.

    Raises ConfigError if its file was not given on this machine, or is another one.
    """
    return NETS.find(name)


def _checked(found: object, place: Path, class_name: str) -> OwnNet:
    net = cast(OwnNet, found)
    for part in ("generator", "discriminator"):
        make = getattr(net, part, None)
        if not callable(make):
            raise ConfigError(f"{class_name} in {place} lacks the static method {part}(config)")
        try:
            with torch.device("meta"):
                network = make(ModelConfig())
        except Exception as error:  # whatever a person's file raises
            raise ConfigError(
                f"{class_name}.{part} in {place} fails: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(network, nn.Module):
            raise ConfigError(f"{class_name}.{part} in {place} returns no nn.Module")
        _check_layers(network, f"{class_name}.{part}")
    return net


def _check_layers(network: nn.Module, name: str) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            raise ConfigError(
                f"{name} has a layer {type(layer).__name__}, whose chance is not the run's; leave it out"
            )
        is_batch_norm = isinstance(layer, nn.modules.batchnorm._BatchNorm)
        if any(True for _ in layer.buffers(recurse=False)) and not is_batch_norm:
            raise ConfigError(
                f"{name} keeps a buffer in {type(layer).__name__}, which is neither averaged nor stored; "
                "compute it in forward, or make it a parameter"
            )


NETS: OwnCode[OwnNet] = OwnCode("net", "class", "--model", _checked)
"""Those that somebody at this machine named."""
