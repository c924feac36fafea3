"""What every codec offers, and what all of them check."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from p2pgan.averaging.blocks import blocks
from p2pgan.averaging.codec.raw import Allocate, Buffer, fresh_memory, put, values
from p2pgan.averaging.finite import is_finite, magnitude
from p2pgan.errors import InternalError, PeerFault

_EXACT_BYTES = 4

Read = Callable[[int, Tensor], None]
"""Decodes the elements from the given one on into a float32 vector, as many as it has."""


class Codec(ABC):
    """Encodes float32 vectors; ``decode(encode(v), len(v))`` is near or equal to ``v``."""

    name: str
    largest = math.inf
    """Beyond this, numbers saturate."""
    lossless = False
    keeps_residual = False
    """Whether what it loses must be kept by the encoder and added to what is encoded next."""
    by_block = True
    """Whether each block of a vector is encoded by itself."""

    def encode(
        self,
        vector: Tensor,
        exact: Tensor | None = None,
        allocate: Allocate = fresh_memory,
        residual: Tensor | None = None,
        lost: Tensor | None = None,
    ) -> memoryview:
        """Bytes of a 1-D float32 vector, in memory from ``allocate`` (the vector may change after).

        ``exact``, the index of elements (int64, ascending) that go along in float32, is part of the format:
        the bytes are those elements, then the codec's own. ``residual`` is added to the vector before;
        into ``lost`` goes what the codec loses, if it keeps that.

        Raises InternalError if the vector is not finite: such a vector must not leave the trainer.
        """
        vector, exact = vector.detach(), self._exact(exact)
        places = _Places(exact)
        out = allocate(self.length(vector.numel(), exact))
        own = out[places.count * _EXACT_BYTES :]
        for block in blocks(vector.numel(), vector.numel() if not self.by_block else None):
            part = vector[block] if residual is None else torch.add(vector[block], residual[block])
            largest = magnitude(part)
            if not math.isfinite(largest):
                raise InternalError("a vector to be sent holds numbers that are not finite")
            numbers, inside = places.within(block)
            if inside is not None:
                put(out, numbers.start * _EXACT_BYTES, part[inside], torch.float32)
                if self.keeps_residual:
                    part = part.index_fill(0, inside, 0.0)  # they must not widen the steps of the others
            if largest > self.largest:
                part = part.clamp(-self.largest, self.largest)
            self._write(part, own, block.start, vector.numel(), None if lost is None else lost[block])
        return out

    def decode(
        self, buffer: Buffer, elements: int, exact: Tensor | None = None, into: Tensor | None = None
    ) -> Tensor:
        """A float32 CPU vector of shape ``(elements,)``: ``into``, if given.

        Raises PeerFault if the buffer has another length or holds what this codec does not write, such
        as numbers that are not finite.
        """
        read = self.reader(buffer, elements, exact)
        found = torch.empty(elements, dtype=torch.float32) if into is None else into
        for block in blocks(elements):
            read(block.start, found[block])
            if not is_finite(found[block]):
                raise PeerFault(f"a vector encoded as {self.name} holds numbers that are not finite")
        return found

    def reader(self, buffer: Buffer, elements: int, exact: Tensor | None = None) -> Read:
        """Decodes a payload of ``elements`` block by block, each beginning at a multiple of 1024.

        What it writes is to be looked at: it may not be finite. It looks at each byte of ``buffer`` once,
        so that whoever else can change that memory changes nothing that was looked at.

        Raises PeerFault as :meth:`decode` does, but for numbers that are not finite.
        """
        exact = self._exact(exact)
        expected, given = self.length(elements, exact), memoryview(buffer).nbytes
        if given != expected:
            raise PeerFault(f"a vector of {elements} elements came as {given} bytes instead of {expected}")
        places = _Places(exact)
        read = self._reader(buffer, places.count * _EXACT_BYTES, elements)
        if exact is None:
            return read
        kept = values(buffer, "<f4", 0, places.count).clone()

        def read_with_exact(start: int, into: Tensor) -> None:
            read(start, into)
            numbers, inside = places.within(slice(start, start + into.numel()))
            if inside is not None:
                into[inside] = kept[numbers]

        return read_with_exact

    def length(self, elements: int, exact: Tensor | None = None) -> int:
        """Bytes that ``elements`` take, those of ``exact`` among them."""
        exact = self._exact(exact)
        return self.size(elements) + (0 if exact is None else len(exact) * _EXACT_BYTES)

    @abstractmethod
    def size(self, elements: int) -> int:
        """Bytes of the codec's own part."""

    @abstractmethod
    def _write(self, part: Tensor, out: memoryview, start: int, elements: int, lost: Tensor | None) -> None:
        """Encode a finite part of a vector, its elements from ``start`` on, into ``out``, which has the size
        of all ``elements``; what is lost of it goes into ``lost``."""

    @abstractmethod
    def _reader(self, buffer: Buffer, at: int, elements: int) -> Read:
        """Decodes what begins at byte ``at``; its length is right. May raise PeerFault."""

    def _exact(self, exact: Tensor | None) -> Tensor | None:
        return None if self.lossless or exact is None or not len(exact) else exact


class _Places:
    """An index of elements, block by block."""

    def __init__(self, exact: Tensor | None) -> None:
        self._exact = exact
        self.count = 0 if exact is None else len(exact)

    def within(self, block: slice) -> tuple[slice, Tensor | None]:
        """Which of them are in the block, and where, counted from its start; None if there are none."""
        if self._exact is None:
            return slice(0, 0), None
        borders = torch.searchsorted(self._exact, torch.tensor([block.start, block.stop]))
        numbers = slice(int(borders[0]), int(borders[1]))
        inside = self._exact[numbers] - block.start
        return numbers, inside if len(inside) else None
