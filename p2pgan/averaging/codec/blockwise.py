"""Eight bits for each element, under one scale for each block (Dettmers, "8-bit approximations", 2015)."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec.base import Codec, room
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

    def _write(self, vector: Tensor, out: memoryview) -> None:
        whole = len(vector) // BLOCK * BLOCK
        at = 4 * _blocks(len(vector))
        scales = []
        for part in (vector[:whole].view(-1, BLOCK), vector[whole:].view(1, -1)):
            if not part.numel():
                continue
            # Rounding may put the largest of all scales just beyond its bound.
            scale = part.abs().amax(dim=1).div_(STEPS).clamp_(max=LARGEST_SCALE)
            scale[scale < SMALLEST_SCALE] = 0
            steps = part / torch.where(scale > 0, scale, torch.inf)[:, None]
            at = put(out, at, steps.round_(), torch.int8)
            scales.append(scale)
        if scales:
            put(out, 0, torch.cat(scales), torch.float32)

    def _read(self, buffer: Buffer, start: int, elements: int, into: Tensor | None) -> Tensor:
        blocks = _blocks(elements)
        scales = values(buffer, "<f4", start, blocks)
        if not bool(((scales >= 0) & (scales <= LARGEST_SCALE)).all()):
            raise PeerFault("a vector encoded as int8 has a scale that is negative, too large or not finite")
        found = room(elements, into).copy_(values(buffer, "|i1", start + 4 * blocks, elements))
        whole = elements // BLOCK
        found[: whole * BLOCK].view(-1, BLOCK).mul_(scales[:whole, None])
        found[whole * BLOCK :].mul_(scales[whole:])
        return found


def _blocks(elements: int) -> int:
    return -(-elements // BLOCK)
