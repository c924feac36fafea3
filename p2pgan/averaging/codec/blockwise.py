"""Eight bits for each element, under one scale for each block (Dettmers, "8-bit approximations", 2015)."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec.base import Codec, Read
from p2pgan.averaging.codec.raw import Buffer, put, values
from p2pgan.errors import PeerFault

BLOCK = 1024
"""Elements under one scale."""
STEPS = 127
LARGEST_SCALE = 1e36
"""127 steps of it are finite in float32."""
SMALLEST_SCALE = 2.0**-126
"""A block of smaller numbers than steps of this is sent as zeros: its scale would be no normal number."""


class Int8(Codec):
    """A float32 scale for each block of 1024 elements, then one byte for each element.

    The scale is the block's largest magnitude divided by 127, so nothing saturates, and no element is
    further than half a scale from what it was. Numbers whose scale would be beyond 1e36 saturate.
    """

    name = "int8"
    largest = STEPS * LARGEST_SCALE
    keeps_residual = True

    def size(self, elements: int) -> int:
        return 4 * _blocks(elements) + elements

    def _write(self, part: Tensor, out: memoryview, start: int, elements: int, lost: Tensor | None) -> None:
        whole = part.numel() // BLOCK * BLOCK
        for begin, stop, rows in ((0, whole, whole // BLOCK), (whole, part.numel(), 1)):
            if stop > begin:
                numbers = part[begin:stop].view(rows, -1)
                # Rounding may put the largest of all scales just beyond its bound.
                scale = numbers.abs().amax(dim=1).div_(STEPS).clamp_(max=LARGEST_SCALE)
                scale[scale < SMALLEST_SCALE] = 0
                steps = numbers / torch.where(scale > 0, scale, torch.inf)[:, None]
                put(out, 4 * ((start + begin) // BLOCK), scale, torch.float32)
                put(out, 4 * _blocks(elements) + start + begin, steps.round_(), torch.int8)
                if lost is not None:
                    torch.sub(numbers, steps.mul_(scale[:, None]), out=lost[begin:stop].view(rows, -1))

    def _reader(self, buffer: Buffer, at: int, elements: int) -> Read:
        blocks = _blocks(elements)
        scales = values(buffer, "<f4", at, blocks).clone()
        if not bool(((scales >= 0) & (scales <= LARGEST_SCALE)).all()):
            raise PeerFault("a vector encoded as int8 has a scale that is negative, too large or not finite")
        steps = values(buffer, "|i1", at + 4 * blocks, elements)

        def read(start: int, into: Tensor) -> None:
            into.copy_(steps[start : start + into.numel()])
            first, whole = start // BLOCK, into.numel() // BLOCK
            into[: whole * BLOCK].view(-1, BLOCK).mul_(scales[first : first + whole, None])
            if into.numel() > whole * BLOCK:
                into[whole * BLOCK :].mul_(scales[first + whole])

        return read


def _blocks(elements: int) -> int:
    return -(-elements // BLOCK)
