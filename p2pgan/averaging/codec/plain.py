"""Element by element: float32 as it is, and the two half-precision formats."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec.base import Codec, Read
from p2pgan.averaging.codec.raw import Buffer, put, values

FP16_MAX = 65504.0
BF16_MAX = 3.3895313892515355e38


class Fp32(Codec):
    """Exact: four bytes for each element."""

    name = "fp32"
    lossless = True

    def size(self, elements: int) -> int:
        return 4 * elements

    def _write(self, part: Tensor, out: memoryview, start: int, elements: int, lost: Tensor | None) -> None:
        put(out, 4 * start, part, torch.float32)

    def _reader(self, buffer: Buffer, at: int, elements: int) -> Read:
        return _copied(values(buffer, "<f4", at, elements))


class Fp16(Codec):
    """Half precision (IEEE 754 binary16): two bytes for each element.

    Numbers beyond the range saturate at +-65504. A delta that large comes from a training that
    diverges; as an infinity it would make every receiver blame and drop the sender, while a
    saturated one stays a finite vote that the mean dilutes and the next round can correct.
    """

    name = "fp16"
    largest = FP16_MAX

    def size(self, elements: int) -> int:
        return 2 * elements

    def _write(self, part: Tensor, out: memoryview, start: int, elements: int, lost: Tensor | None) -> None:
        put(out, 2 * start, part, torch.float16)

    def _reader(self, buffer: Buffer, at: int, elements: int) -> Read:
        return _copied(values(buffer, "<f2", at, elements))


class Bf16(Codec):
    """The upper half of a float32, rounded: two bytes for each element. Saturates like fp16, far beyond."""

    name = "bf16"
    largest = BF16_MAX

    def size(self, elements: int) -> int:
        return 2 * elements

    def _write(self, part: Tensor, out: memoryview, start: int, elements: int, lost: Tensor | None) -> None:
        put(out, 2 * start, part, torch.bfloat16)

    def _reader(self, buffer: Buffer, at: int, elements: int) -> Read:
        return _copied(values(buffer, "<i2", at, elements).view(torch.bfloat16))


def _copied(source: Tensor) -> Read:
    def read(start: int, into: Tensor) -> None:
        into.copy_(source[start : start + into.numel()])

    return read
