"""Own networks: a class in a Python file of this machine, named ``path/to/file.py:CLASS``.

The file is code and is run, so it comes only from what somebody at this machine wrote on the command
line or passed to ``use_own_net``. What travels, in a run's configuration or a weights file, is the name
``CLASS@DIGEST``: it says which file is needed, and nothing is ever loaded because of it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import nn

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import ConfigError
from p2pgan.gan.config import ModelConfig, names_a_file
from p2pgan.protocol.texts import shortened

DIGEST_SHOWN = 12


class OwnNet(Protocol):
    """What the class has: two static methods that make the networks from the configuration.

    The generator maps noise ``(n, latent_dim)`` to images ``(n, 3, R, R)`` in [-1, 1], the discriminator
    images to logits ``(n,)``; with ``num_classes`` above 0 both take labels ``(n,)`` as second argument.
    """

    @staticmethod
    def generator(config: ModelConfig) -> nn.Module: ...
    @staticmethod
    def discriminator(config: ModelConfig) -> nn.Module: ...


_known: dict[str, OwnNet] = {}


def use_own_net(spec: str) -> str:
    """Loads the class that ``path/to/file.py:CLASS`` names, and returns its name ``CLASS@DIGEST``.

    Raises ConfigError: no such file or class, it cannot be run, or it is no pair of networks.
    """
    place, class_name = _parts(spec)
    try:
        code = place.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the net's file {place} cannot be read: {error.strerror}; check --model"
        ) from error
    name = f"{class_name}@{blob_digest(code)}"
    if name not in _known:
        _known[name] = _load(place, code, class_name)
    return name


def find(name: str) -> OwnNet:
    """The own net of a run or a weights file.

    Raises ConfigError if its file was not given on this machine, or is another one.
    """
    if name in _known:
        return _known[name]
    class_name, _, digest = name.partition("@")
    others = [known for known in _known if known.partition("@")[0] == class_name]
    if others:
        given = others[-1].partition("@")[2]
        raise ConfigError(
            f"the net {class_name} is of a file with digest {digest[:DIGEST_SHOWN]}, but the file given here "
            f"has {given[:DIGEST_SHOWN]}; ask the run's starter for the same file"
        )
    raise ConfigError(
        f"the net {class_name} is somebody's own; give its file (digest {digest[:DIGEST_SHOWN]}) "
        f"with --model path/to/file.py:{class_name}"
    )


def _parts(spec: str) -> tuple[Path, str]:
    path, _, class_name = spec.rpartition(":")
    if not names_a_file(spec) or not class_name.isidentifier():
        raise ConfigError(f"{shortened(spec)!r} is no own net; write path/to/file.py:CLASS")
    return Path(path).expanduser(), class_name


def _load(place: Path, code: bytes, class_name: str) -> OwnNet:
    """Runs exactly the bytes that the digest names."""
    spec = importlib.util.spec_from_loader(f"p2pgan_own_{place.stem}", loader=None, origin=str(place))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(place)
    try:
        exec(compile(code, str(place), "exec"), module.__dict__)
    except Exception as error:  # whatever a person's file raises
        raise ConfigError(f"{place} cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise ConfigError(f"{place} defines no class {class_name}; check what is after the colon")
    net = cast(OwnNet, found)
    _check(net, place, class_name)
    return net


def _check(net: OwnNet, place: Path, class_name: str) -> None:
    """Refuses what would fail later, far from the line that is wrong."""
    for part in ("generator", "discriminator"):
        make = getattr(net, part, None)
        if not callable(make):
            raise ConfigError(f"{class_name} in {place} lacks the static method {part}(config)")
        try:
            with torch.device("meta"):
                network = make(ModelConfig())
        except Exception as error:  # as above
            raise ConfigError(
                f"{class_name}.{part} in {place} fails: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(network, nn.Module):
            raise ConfigError(f"{class_name}.{part} in {place} returns no nn.Module")
        _check_layers(network, f"{class_name}.{part}")


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
