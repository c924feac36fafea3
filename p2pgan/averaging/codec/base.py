"""What every codec offers, and what all of them check."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from p2pgan.averaging.codec.raw import Buffer, put, values
from p2pgan.averaging.finite import is_finite, magnitude
from p2pgan.errors import InternalError, PeerFault

_EXACT_BYTES = 4


class Codec(ABC):
    """Encodes float32 vectors; ``decode(encode(v), len(v))`` is near or equal to ``v``."""

    name: str
    largest = math.inf
    """Beyond this, numbers saturate."""
    lossless = False
    keeps_residual = False
    """Whether what it loses must be kept by the encoder and added to what is encoded next."""

    def encode(self, vector: Tensor, exact: Tensor | None = None) -> memoryview:
        """Bytes of a 1-D float32 vector, in memory of their own (the vector may change after).

        ``exact``, the index of elements (int64) that go along in float32, is part of the format: the
        bytes are those elements, then the codec's own.

        Raises InternalError if the vector is not finite: such a vector must not leave the trainer.
        """
        vector = vector.detach()
        largest = magnitude(vector)
        if not math.isfinite(largest):
            raise InternalError("a vector to be sent holds numbers that are not finite")
        exact = self._exact(exact)
        out = np.empty(self.length(len(vector), exact), dtype=np.uint8).data
        start = put(out, 0, vector[exact], torch.float32) if exact is not None else 0
        if exact is not None and self.keeps_residual:
            vector = vector.index_fill(0, exact, 0.0)  # they must not widen the steps of the others
        if largest > self.largest:
            vector = vector.clamp(-self.largest, self.largest)
        self._write(vector, out[start:])
        return out

    def decode(
        self,
        buffer: Buffer,
        elements: int,
        exact: Tensor | None = None,
        into: Tensor | None = None,
        checked: bool = True,
    ) -> Tensor:
        """A float32 CPU vector of shape ``(elements,)``: ``into``, if given.

        Else it may share the buffer's memory, which must not change as long as the vector is used.

        Raises PeerFault if the buffer has another length or holds what this codec does not write, such
        as numbers that are not finite; those it lets pass unless ``checked``, for a caller that looks itself.
        """
        exact = self._exact(exact)
        expected, given = self.length(elements, exact), memoryview(buffer).nbytes
        if given != expected:
            raise PeerFault(f"a vector of {elements} elements came as {given} bytes instead of {expected}")
        count = 0 if exact is None else len(exact)
        found = self._read(buffer, count * _EXACT_BYTES, elements, into)
        if exact is not None:
            found[exact] = values(buffer, "<f4", 0, count)
        if checked and not is_finite(found):
            raise PeerFault(f"a vector encoded as {self.name} holds numbers that are not finite")
        return found

    def length(self, elements: int, exact: Tensor | None = None) -> int:
        """Bytes that ``elements`` take, those of ``exact`` among them."""
        exact = self._exact(exact)
        return self.size(elements) + (0 if exact is None else len(exact) * _EXACT_BYTES)

    @abstractmethod
    def size(self, elements: int) -> int:
        """Bytes of the codec's own part."""

    @abstractmethod
    def _write(self, vector: Tensor, out: memoryview) -> None:
        """Encode a finite vector into ``out``, which has its size."""

    @abstractmethod
    def _read(self, buffer: Buffer, start: int, elements: int, into: Tensor | None) -> Tensor:
        """Decode what begins at byte ``start``; its length is right. May raise PeerFault."""

    def _exact(self, exact: Tensor | None) -> Tensor | None:
        return None if self.lossless or exact is None or not len(exact) else exact


def room(elements: int, into: Tensor | None) -> Tensor:
    """``into``, or a fresh float32 vector."""
    return torch.empty(elements, dtype=torch.float32) if into is None else into
