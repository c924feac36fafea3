"""Only the largest elements (Stich et al., "Sparsified SGD with memory", 2018). Experimental."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec.base import Codec, room
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

    def size(self, elements: int) -> int:
        return 8 * _kept(elements)

    def _write(self, vector: Tensor, out: memoryview) -> None:
        places = torch.topk(vector.abs(), _kept(len(vector)), sorted=False).indices.sort().values
        put(out, put(out, 0, places, torch.int32), vector[places], torch.float32)

    def _read(self, buffer: Buffer, start: int, elements: int, into: Tensor | None) -> Tensor:
        kept = _kept(elements)
        places = values(buffer, "<i4", start, kept).to(torch.int64)
        ascending = bool((places.diff() > 0).all())
        if kept and not (ascending and int(places[0]) >= 0 and int(places[-1]) < elements):
            raise PeerFault("a vector encoded as topk names places out of order, twice or beyond its end")
        found = room(elements, into).zero_()
        found[places] = values(buffer, "<f4", start + 4 * kept, kept)
        return found


def _kept(elements: int) -> int:
    return -(-elements // ONE_OF)
