"""Bytes and tensors that share their memory. On the wire everything is little-endian."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

Buffer = bytes | bytearray | memoryview


def little_endian_bytes(vector: Tensor) -> memoryview:
    """The bytes of a CPU tensor in little-endian order: a view of its memory where possible."""
    array = vector.detach().reshape(-1).contiguous().numpy()
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).view(np.uint8).data


def values(buffer: Buffer, kind: str, start: int, count: int) -> Tensor:
    """``count`` numbers of numpy's little-endian type ``kind`` that begin at byte ``start``.

    Shares the buffer's memory where torch can: where that is writable, and in this machine's byte order.
    """
    array: np.ndarray[Any, Any] = np.frombuffer(buffer, kind, count, start)
    if not (array.flags.writeable and array.dtype.isnative):
        array = array.astype(array.dtype.newbyteorder("="), copy=True)
    return torch.from_numpy(array)


def put(out: memoryview, start: int, vector: Tensor, dtype: torch.dtype) -> int:
    """Write a vector as numbers of ``dtype`` into ``out`` from byte ``start`` on; where they end."""
    stop = start + vector.numel() * dtype.itemsize
    if stop > start:
        torch.frombuffer(out[start:stop], dtype=dtype).copy_(vector.reshape(-1))
        if sys.byteorder == "big":
            np.frombuffer(out[start:stop], f"=u{dtype.itemsize}").byteswap(inplace=True)
    return stop
