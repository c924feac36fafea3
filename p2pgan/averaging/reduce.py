"""What an owner does with the slices of its shard: check them, then one rule for each network.

An owner sees its shard alone, so norms and distances are taken within the shard, and apart for what
it has of G and of D. That bounds a hostile peer at least as well as whole vectors would: every part
of it is bounded by the same part of honest ones, so that it is as a whole no longer than a vector
put together from honest parts, and it cannot spend all that its whole norm allows on a single part,
such as the small D beside a large G. Rules by coordinate do not see a difference. One that chooses
among peers, such as Multi-Krum, may choose others for each part, each time among a majority of
honest ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from p2pgan.averaging.blocks import BLOCK, blocks
from p2pgan.averaging.codec import Read
from p2pgan.averaging.finite import magnitude
from p2pgan.averaging.rules import Rule
from p2pgan.errors import InternalError, PeerFault
from p2pgan.protocol.ids import PeerId

LARGEST = 1e30
"""No delta has an element beyond this. Up to here sums and differences stay finite in float32."""


class Rejected(PeerFault):
    """A contributor's slice cannot be aggregated, or an owner's result not be used; ``peer`` sent it."""

    def __init__(self, peer: PeerId, reason: str) -> None:
        super().__init__(reason)
        self.peer = peer


Source = Tensor | Read
"""A contributor's slice: a vector of this process, or what decodes one that came."""


def aggregate(
    rule: Rule,
    slices: Mapping[PeerId, Source],
    weights: Mapping[PeerId, int],
    parts: Sequence[slice],
) -> Tensor:
    """One float32 vector out of 1-D float32 vectors of equal length, each weighted by its images.

    ``parts`` cover the vectors; the rule is applied to each apart. Peers are taken in the order of
    their ids, so the same contributions give the same bits whatever the order in which they came.

    Raises Rejected for a weight that is not positive, another length or numbers that are not
    finite; InternalError if the two mappings do not name the same peers.
    """
    if not slices or slices.keys() != weights.keys():
        raise InternalError("a round needs the vector and the weight of the same peers, at least one")
    length = sum(part.stop - part.start for part in parts)
    peers = sorted(slices)
    for peer in peers:
        _check(peer, slices[peer], weights[peer], length)
    images = [weights[peer] for peer in peers]
    checked = [_Checked(peer, slices[peer]) for peer in peers]
    factors = rule.factors(images)
    if factors is not None:
        return _combined(checked, factors, length)
    vectors = [each.whole(length) for each in checked]
    means = [rule([vector[part] for vector in vectors], images) for part in parts]
    return means[0] if len(means) == 1 else torch.cat(means)


def _combined(slices: Sequence[_Checked], factors: Sequence[float], length: int) -> Tensor:
    """The sum of the slices times their factors, added in order, block by block."""
    result, scratch = torch.empty(length), torch.empty(min(BLOCK, length))
    for block in blocks(length):
        into = result[block]
        for index, (each, factor) in enumerate(zip(slices, factors, strict=True)):
            found = each.block(block, scratch[: into.numel()])
            if index:
                into.add_(found, alpha=factor)  # perhaps fused: whose sum it is, encodes it once for everyone
            else:
                torch.mul(found, factor, out=into)
    return result


class _Checked:
    """A contributor's slice, of which nothing is handed on that was not looked at."""

    def __init__(self, peer: PeerId, source: Source) -> None:
        self._peer, self._source = peer, source

    def block(self, block: slice, scratch: Tensor) -> Tensor:
        """Those elements, in ``scratch`` if they had to be decoded."""
        if isinstance(self._source, Tensor):
            found = self._source[block]
        else:
            found = scratch
            self._source(block.start, found)
        largest = magnitude(found)
        if not math.isfinite(largest):
            raise Rejected(self._peer, f"peer {self._peer} sent numbers that are not finite")
        if largest > LARGEST:
            raise Rejected(self._peer, f"peer {self._peer} sent numbers beyond {LARGEST:g}")
        return found

    def whole(self, length: int) -> Tensor:
        """All elements."""
        vector = self._source if isinstance(self._source, Tensor) else torch.empty(length)
        for block in blocks(length):
            self.block(block, vector[block])
        return vector


def _check(peer: PeerId, source: Source, weight: int, length: int) -> None:
    if weight <= 0:
        raise Rejected(peer, f"peer {peer} has the weight {weight}; a contribution covers at least one image")
    if isinstance(source, Tensor) and (source.dtype != torch.float32 or tuple(source.shape) != (length,)):
        raise Rejected(
            peer, f"peer {peer} sent {source.dtype} of shape {tuple(source.shape)}, not ({length},)"
        )
