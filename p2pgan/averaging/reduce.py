"""Means over what a round's contributors sent."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from p2pgan.averaging.finite import is_finite
from p2pgan.errors import InternalError, PeerFault
from p2pgan.protocol.ids import PeerId


def weighted_mean(slices: Mapping[PeerId, Tensor], weights: Mapping[PeerId, int]) -> Tensor:
    """The mean of 1-D float32 vectors of equal length, each weighted by its images.

    Peers are added in the order of their ids, so the same contributions give the same bits
    whatever the order in which they arrived. With a single peer the mean is its vector, exactly.

    Raises PeerFault, naming the peer, for a weight that is not positive, another length or numbers
    that are not finite; InternalError if the two mappings do not name the same peers.
    """
    if not slices or slices.keys() != weights.keys():
        raise InternalError("a mean needs the vector and the weight of the same peers, at least one")
    peers = sorted(slices)
    length = slices[peers[0]].numel()
    for peer in peers:
        _check(peer, slices[peer], weights[peer], length)
    total = sum(weights.values())
    mean = torch.zeros(length, dtype=torch.float32)
    for peer in peers:
        mean += slices[peer] * (weights[peer] / total)
    return mean


def _check(peer: PeerId, vector: Tensor, weight: int, length: int) -> None:
    if weight <= 0:
        raise PeerFault(f"peer {peer} has the weight {weight}; a contribution covers at least one image")
    if vector.dtype != torch.float32 or tuple(vector.shape) != (length,):
        raise PeerFault(f"peer {peer} sent {vector.dtype} of shape {tuple(vector.shape)}, not ({length},)")
    if not is_finite(vector):
        raise PeerFault(f"peer {peer} sent numbers that are not finite")
