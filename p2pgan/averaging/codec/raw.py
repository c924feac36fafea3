"""Bytes and tensors that share their memory. On the wire everything is little-endian."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Buffer = bytes | bytearray | memoryview
Allocate = Callable[[int], memoryview]
"""Gives writable memory of so many bytes, whatever is in it."""


def fresh_memory(size: int) -> memoryview:
    """Memory that nobody else has."""
    return np.empty(size, dtype=np.uint8).data


def little_endian_bytes(vector: Tensor) -> memoryview:
    """The bytes of a CPU tensor in little-endian order: a view of its memory where possible."""
    array = vector.detach().reshape(-1).contiguous().numpy()
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).view(np.uint8).data


class _OnlyRead:
    """Memory that cannot be written to, shown as if it could: torch knows no other."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._kept = array
        shown = array.__array_interface__
        self.__array_interface__ = {**shown, "data": (shown["data"][0], False)}


def values(buffer: Buffer, kind: str, start: int, count: int) -> Tensor:
    """``count`` numbers of numpy's little-endian type ``kind`` that begin at byte ``start``; only to be read.

    Shares the buffer's memory where that has this machine's byte order.
    """
    array: np.ndarray[Any, Any] = np.frombuffer(buffer, kind, count, start)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    elif not array.flags.writeable:
        array = np.asarray(_OnlyRead(array)) if count else array.copy()
    return torch.from_numpy(array)


def put(out: memoryview, start: int, vector: Tensor, dtype: torch.dtype) -> int:
    """Write a vector as numbers of ``dtype`` into ``out`` from byte ``start`` on; where they end."""
    stop = start + vector.numel() * dtype.itemsize
    if stop > start:
        torch.frombuffer(out[start:stop], dtype=dtype).copy_(vector.reshape(-1))
        if sys.byteorder == "big":
            np.frombuffer(out[start:stop], f"=u{dtype.itemsize}").byteswap(inplace=True)
    return stop
