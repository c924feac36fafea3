"""The canonical vector: learned parameters of the generator, then of the discriminator.

Only parameters are in it. Buffers (spectral-norm vectors, counters, batch statistics) are not
averaged and not stored: averaging them has no meaning, and they follow from the parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

import torch
from blake3 import blake3
from torch import Tensor, nn

from p2pgan.errors import ConfigError, WeightsError

Network = Literal["G", "D"]


@dataclass(frozen=True)
class Entry:
    """One parameter: elements ``[start, stop)`` of the vector hold it in row-major order."""

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int
    network: Network


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in the canonical vector."""

    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Elements of the vector."""
        return self.entries[-1].stop if self.entries else 0

    @cached_property
    def schema_hash(self) -> str:
        """BLAKE3 (hex) over names, shapes, networks and element type: equal means interchangeable."""
        lines = [f"{e.network} {e.name} {'x'.join(map(str, e.shape))} float32\n" for e in self.entries]
        return blake3("".join(lines).encode()).hexdigest()

    def entries_of(self, network: Network) -> tuple[Entry, ...]:
        """The entries of one network, in order."""
        return tuple(e for e in self.entries if e.network == network)

    def slice_of(self, network: Network) -> slice:
        """The part of the vector that one network fills."""
        entries = self.entries_of(network)
        return slice(entries[0].start, entries[-1].stop) if entries else slice(0, 0)

    def parts_of(self, start: int, stop: int) -> tuple[slice, ...]:
        """The elements ``[start, stop)`` by network, counted from ``start``, without empty parts."""
        border = min(max(self.slice_of("G").stop, start), stop)
        parts = slice(0, border - start), slice(border - start, stop - start)
        return tuple(part for part in parts if part.stop > part.start)


def layout_of(generator: nn.Module, discriminator: nn.Module) -> Layout:
    """The layout of a pair of networks, in ``state_dict`` order.

    Raises ConfigError if a parameter is not float32: every peer must hold the same element type.
    """
    entries: list[Entry] = []
    position = 0
    networks: tuple[tuple[Network, nn.Module], ...] = (("G", generator), ("D", discriminator))
    for network, module in networks:
        for name, parameter in module.named_parameters():
            if parameter.dtype != torch.float32:
                raise ConfigError(f"parameter {network}.{name} is {parameter.dtype}; use float32")
            stop = position + parameter.numel()
            entries.append(Entry(name, tuple(parameter.shape), position, stop, network))
            position = stop
    return Layout(tuple(entries))


def flatten(layout: Layout, generator: nn.Module, discriminator: nn.Module) -> Tensor:
    """A fresh canonical vector (CPU, float32, shape ``(layout.size,)``) of both networks."""
    vector = torch.empty(layout.size, dtype=torch.float32)
    with torch.no_grad():
        for entry, parameter in pairs(layout, generator, discriminator):
            vector[entry.start : entry.stop].copy_(parameter.reshape(-1))
    return vector


def unflatten_into(layout: Layout, vector: Tensor, generator: nn.Module, discriminator: nn.Module) -> None:
    """Writes ``vector`` into the parameters of both networks.

    Raises WeightsError if the vector is not of this layout.
    """
    check_vector(layout, vector)
    with torch.no_grad():
        for entry, parameter in pairs(layout, generator, discriminator):
            parameter.copy_(vector[entry.start : entry.stop].view(entry.shape))


def check_vector(layout: Layout, vector: Tensor) -> None:
    """Raises WeightsError unless ``vector`` is float32 of shape ``(layout.size,)``."""
    if vector.dtype != torch.float32 or tuple(vector.shape) != (layout.size,):
        raise WeightsError(
            f"weights are {vector.dtype} of shape {tuple(vector.shape)}, "
            f"but these networks need float32 of shape ({layout.size},)"
        )


def pairs(
    layout: Layout, generator: nn.Module, discriminator: nn.Module
) -> Iterable[tuple[Entry, nn.Parameter]]:
    """Each parameter of both networks with its entry."""
    parameters = chain(generator.parameters(), discriminator.parameters())
    return zip(layout.entries, parameters, strict=True)
