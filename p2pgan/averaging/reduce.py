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


def aggregate(
    rule: Rule,
    slices: Mapping[PeerId, Tensor],
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
    peers = sorted(slices)
    length = sum(part.stop - part.start for part in parts)
    for peer in peers:
        _check(peer, slices[peer], weights[peer], length)
    images = [weights[peer] for peer in peers]
    means = [rule([slices[peer][part] for peer in peers], images) for part in parts]
    return means[0] if len(means) == 1 else torch.cat(means)


def _check(peer: PeerId, vector: Tensor, weight: int, length: int) -> None:
    if weight <= 0:
        raise Rejected(peer, f"peer {peer} has the weight {weight}; a contribution covers at least one image")
    if vector.dtype != torch.float32 or tuple(vector.shape) != (length,):
        raise Rejected(
            peer, f"peer {peer} sent {vector.dtype} of shape {tuple(vector.shape)}, not ({length},)"
        )
    largest = magnitude(vector)
    if not math.isfinite(largest):
        raise Rejected(peer, f"peer {peer} sent numbers that are not finite")
    if largest > LARGEST:
        raise Rejected(peer, f"peer {peer} sent numbers beyond {LARGEST:g}")
