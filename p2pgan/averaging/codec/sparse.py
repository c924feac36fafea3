"""Only the largest elements (Stich et al., "Sparsified SGD with memory", 2018). Experimental."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec.base import Codec, Read
from p2pgan.averaging.codec.raw import Buffer, put, values
from p2pgan.errors import PeerFault

ONE_OF = 32
"""So many elements share one that is sent."""


class TopK(Codec):
    """The 32nd part of the elements (at least one), those of largest magnitude.

    First their places, strictly ascending (int32), then their values (float32). The others decode as zero:
    rules that compare peers by coordinate, such as the median, see mostly zeros.
    """

    name = "topk"
    keeps_residual = True
    by_block = False

    def size(self, elements: int) -> int:
        return 8 * _kept(elements)

    def _write(self, part: Tensor, out: memoryview, start: int, elements: int, lost: Tensor | None) -> None:
        places = torch.topk(part.abs(), _kept(elements), sorted=False).indices.sort().values
        put(out, put(out, 0, places, torch.int32), part[places], torch.float32)
        if lost is not None:
            lost.copy_(part).index_fill_(0, places, 0.0)

    def _reader(self, buffer: Buffer, at: int, elements: int) -> Read:
        kept = _kept(elements)
        places = values(buffer, "<i4", at, kept).to(torch.int64)
        ascending = bool((places.diff() > 0).all())
        if kept and not (ascending and int(places[0]) >= 0 and int(places[-1]) < elements):
            raise PeerFault("a vector encoded as topk names places out of order, twice or beyond its end")
        numbers = values(buffer, "<f4", at + 4 * kept, kept).clone()

        def read(start: int, into: Tensor) -> None:
            borders = torch.searchsorted(places, torch.tensor([start, start + into.numel()]))
            here = slice(int(borders[0]), int(borders[1]))
            into.zero_()[places[here] - start] = numbers[here]

        return read


def _kept(elements: int) -> int:
    return -(-elements // ONE_OF)
