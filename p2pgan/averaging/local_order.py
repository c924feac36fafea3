"""The order in which one process keeps a vector's elements while it computes with them.

Versions, contributions and files have the canonical order. Convolutions are faster where filters, as images
between layers, have their channels last; that order never leaves the trainer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pgan.averaging.flatten import Entry, Layout, Network, check_vector, pairs

FILTER = 4
"""Dimensions of a filter's weights."""


class LocalOrder:
    """How the vectors of a layout are kept."""

    def __init__(self, layout: Layout, channels_last: bool) -> None:
        """``channels_last`` is for nets that take no ``view`` of a filter: it is not contiguous then."""
        self._layout = layout
        self._moved = channels_last and any(len(entry.shape) == FILTER for entry in layout.entries)

    @property
    def images(self) -> torch.memory_format:
        """The order that suits images."""
        return torch.channels_last if self._moved else torch.contiguous_format

    def bind(self, vector: Tensor, gradient: Tensor, generator: nn.Module, discriminator: nn.Module) -> None:
        """Makes every parameter, and its gradient, a view of ``vector`` and ``gradient``, both in this order.

        From then on reading or writing the vector reads or writes the networks, without a copy.
        The parameters take the values of ``vector``.
        """
        check_vector(self._layout, vector)
        for entry, parameter in pairs(self._layout, generator, discriminator):
            parameter.data = self._view(entry, vector)
            parameter.grad = self._view(entry, gradient)

    def of(self, vector: Tensor) -> Tensor:
        """A canonical vector in this order; itself where that is the same.

        Raises WeightsError if it is not of this layout.
        """
        check_vector(self._layout, vector)
        if not self._moved:
            return vector
        local = torch.empty_like(vector)
        for entry in self._layout.entries:
            self._view(entry, local).copy_(vector[entry.start : entry.stop].view(entry.shape))
        return local

    def canonical(self, local: Tensor, network: Network | None = None) -> Tensor:
        """The elements of one network or of both in canonical order; a view where that is the same."""
        entries = self._layout.entries if network is None else self._layout.entries_of(network)
        part = slice(entries[0].start, entries[-1].stop)
        if not self._moved:
            return local[part]
        vector = torch.empty_like(local[part])
        for entry in entries:
            place = vector[entry.start - part.start : entry.stop - part.start]
            place.view(entry.shape).copy_(self._view(entry, local))
        return vector

    def _view(self, entry: Entry, vector: Tensor) -> Tensor:
        """A parameter within a vector in this order."""
        elements = vector[entry.start : entry.stop]
        if not self._moved or len(entry.shape) != FILTER:
            return elements.view(entry.shape)
        outer, inner, height, width = entry.shape
        return elements.view(outer, height, width, inner).permute(0, 3, 1, 2)
