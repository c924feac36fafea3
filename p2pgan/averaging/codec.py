"""How a slice of a vector becomes bytes on the wire and a vector again.

A codec is chosen per round by the plan. Both ends must agree to the bit on what was decoded, so a
codec has no state and no settings; a lossy one that keeps a residual will hold it outside.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from p2pgan.averaging.finite import is_finite
from p2pgan.errors import ConfigError, InternalError, PeerFault

FP16_MAX = 65504.0


class Codec(Protocol):
    """Encodes float32 vectors; ``decode(encode(v), len(v))`` is near or equal to ``v``."""

    name: str

    def encode(self, vector: Tensor) -> memoryview:
        """Bytes of a 1-D float32 vector, in memory of their own (the vector may change after).

        Raises InternalError if the vector is not finite: such a vector must not leave the trainer.
        """
        ...

    def decode(self, buffer: bytes | bytearray | memoryview, elements: int) -> Tensor:
        """A fresh float32 CPU vector of shape ``(elements,)``.

        Raises PeerFault if the buffer has another length or holds numbers that are not finite.
        """
        ...


class Fp32:
    """Exact: four bytes for each element, little-endian."""

    name = "fp32"

    def encode(self, vector: Tensor) -> memoryview:
        _require_finite(vector)
        return little_endian_bytes(vector.detach().clone())

    def decode(self, buffer: bytes | bytearray | memoryview, elements: int) -> Tensor:
        return _checked(torch.from_numpy(_array(buffer, "<f4", elements)), self.name)


class Fp16:
    """Half precision: two bytes for each element, little-endian, about three decimal digits.

    Numbers beyond the range saturate at +-65504. A delta that large comes from a training that
    diverges; as an infinity it would make every receiver blame and drop the sender, while a
    saturated one stays a finite vote that the mean dilutes and the next round can correct.
    """

    name = "fp16"

    def encode(self, vector: Tensor) -> memoryview:
        _require_finite(vector)
        half = vector.detach().clamp(-FP16_MAX, FP16_MAX).to(torch.float16)
        return little_endian_bytes(half)

    def decode(self, buffer: bytes | bytearray | memoryview, elements: int) -> Tensor:
        half = torch.from_numpy(_array(buffer, "<f2", elements))
        return _checked(half.to(torch.float32), self.name)


_CODECS: dict[str, Codec] = {"fp32": Fp32(), "fp16": Fp16()}


def codec(name: str) -> Codec:
    """The codec of that name. Raises ConfigError for an unknown one."""
    try:
        return _CODECS[name]
    except KeyError:
        raise ConfigError(f"unknown codec {name!r}; choose one of {', '.join(_CODECS)}") from None


def little_endian_bytes(vector: Tensor) -> memoryview:
    """The bytes of a CPU tensor in little-endian order: a view of its memory where possible."""
    array = vector.detach().reshape(-1).contiguous().numpy()
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).view(np.uint8).data


def _array(buffer: bytes | bytearray | memoryview, dtype: str, elements: int) -> np.ndarray[Any, Any]:
    expected = np.dtype(dtype).itemsize * elements
    given = memoryview(buffer).nbytes
    if given != expected:
        raise PeerFault(f"a vector of {elements} elements came as {given} bytes instead of {expected}")
    array = np.frombuffer(buffer, dtype=dtype)
    # A copy in native order: torch neither takes foreign byte order nor read-only memory.
    return array.astype(array.dtype.newbyteorder("="), copy=True)


def _checked(vector: Tensor, name: str) -> Tensor:
    if not is_finite(vector):
        raise PeerFault(f"a vector encoded as {name} holds numbers that are not finite")
    return vector


def _require_finite(vector: Tensor) -> None:
    if not is_finite(vector):
        raise InternalError("a vector to be sent holds numbers that are not finite")
