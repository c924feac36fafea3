"""How a peer's vectors become bytes and vectors again: by the round's codec, what it loses kept for later."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec import Read, codec
from p2pgan.averaging.codec.raw import Allocate, Buffer, fresh_memory
from p2pgan.averaging.feedback import ErrorFeedback
from p2pgan.averaging.flatten import Layout
from p2pgan.protocol.effects import Reduce, SendSlice
from p2pgan.protocol.ids import VersionRecord
from p2pgan.protocol.messages import MAX_MEMBERS, Shard


class Coding:
    """Encodes what one peer contributes and what it reduces, each with a residual of its own."""

    def __init__(self, layout: Layout, allocate: Allocate = fresh_memory) -> None:
        """Payloads are written into memory from ``allocate``."""
        self._layout, self._allocate = layout, allocate
        self._contributed = ErrorFeedback()
        """By (round, term, first attempt): the contribution stands for all attempts since."""
        self._reduced = ErrorFeedback()
        """By (round, term, attempt): each attempt has other contributors."""
        self._exact: dict[tuple[int, int], Tensor] = {}

    def slice(self, e: SendSlice, contribution: Tensor) -> memoryview:
        """A contribution's part in a shard. The same bytes each time until the round is over."""
        part = contribution[e.shard.start : e.shard.stop]
        key = (e.round, e.term, e.first_attempt)
        exact = self.exact_in(e.shard)
        return self._contributed.encode(codec(e.codec), key, e.shard.start, part, exact, self._allocate)

    def result(self, e: Reduce, reduced: Tensor) -> memoryview:
        """What an owner made of a shard's slices: the bytes that everyone applies."""
        key = (e.round, e.term, e.attempt)
        exact = self.exact_in(e.shard)
        return self._reduced.encode(codec(e.codec), key, e.shard.start, reduced, exact, self._allocate)

    def read_slice(self, e: Reduce, payload: Buffer) -> Read:
        """A member's vector; not yet looked at. Raises PeerFault."""
        return codec(e.codec).reader(payload, e.shard.stop - e.shard.start, self.exact_in(e.shard))

    def read_result(self, name: str, shard: Shard, payload: Buffer) -> Read:
        """An owner's result; not yet looked at. Raises PeerFault."""
        return codec(name).reader(payload, shard.stop - shard.start, self.exact_in(shard))

    def settle(self, record: VersionRecord, term: int, contributed: bool) -> None:
        """The round of ``record``, planned in ``term``, became a version, this peer's part in it or not.

        What is kept is what this round lost, where this peer sent something that counted.
        """
        key = (record.version, term, record.attempt)
        self._reduced.settle(key)
        if contributed:
            self._contributed.settle_last(key)
        else:
            self._contributed.clear()
        self._contributed.forget(record.version + 1)
        self._reduced.forget(record.version + 1)

    def begin_anew(self) -> None:
        """Other weights than the own ones with a round on top: nothing that was lost belongs to them."""
        self._contributed.clear()
        self._reduced.clear()

    def exact_in(self, shard: Shard) -> Tensor:
        """Where in a shard the elements of one-dimensional tensors are: biases, gains."""
        place = (shard.start, shard.stop)
        if place not in self._exact:
            if len(self._exact) >= 2 * MAX_MEMBERS:
                self._exact.clear()  # shards move with the peers and their bandwidth
            runs = (
                torch.arange(max(entry.start, shard.start), min(entry.stop, shard.stop)) - shard.start
                for entry in self._layout.entries
                if len(entry.shape) <= 1 and entry.start < shard.stop and entry.stop > shard.start
            )
            self._exact[place] = torch.cat([torch.empty(0, dtype=torch.int64), *runs])
        return self._exact[place]
