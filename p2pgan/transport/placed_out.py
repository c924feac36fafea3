"""The sending end of one direction of a pair that shares memory: blobs placed where the other reads them.

A state machine without sockets, as :mod:`p2pgan.transport.outbound` is. What is said here is the way of blobs
whose payload lies in the arena; all others, and all blobs while there is no arena that the other has
opened, go in sealed frames.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from dataclasses import dataclass
from functools import partial

from p2pgan.protocol.ids import PeerId
from p2pgan.transport.arena import Arena
from p2pgan.transport.arrivals import SharingFailed
from p2pgan.transport.foreign import machine
from p2pgan.transport.outbound import Blob, Outbound
from p2pgan.transport.shared_memory import SharedMemory
from p2pgan.transport.sharing import (
    MOST_HELD,
    MOST_PLACED,
    ArenaAnswer,
    ArenaOffer,
    BlobsHeld,
    BlobsPlaced,
    Placed,
    may_be_shared,
)
from p2pgan.transport.tally import Tally

OFFER_REPEAT_S = 10.0
"""Until then all goes in frames, so there is no hurry."""
RETRY_S = 1.0
"""Pause before the next offer after a peer has read and does no more."""
REFUSED_S = 60.0
"""Longest pause after an offer that was refused; the first is short, and each is twice the one before."""
STALL_S = 30.0
"""A peer that says nothing of what was placed for it for so long does not read it."""


@dataclass(slots=True)
class _Given:
    """What one peer may read under one offer."""

    offer: ArenaOffer
    arena: Arena
    open: bool = False


class PlacedOut:
    """The sending end. Times are seconds of one monotonic clock."""

    def __init__(self, peer: PeerId, memory: SharedMemory, outbound: Outbound, tally: Counter[Tally]) -> None:
        self._peer, self._memory, self._outbound, self._tally = peer, memory, outbound, tally
        self.near = False
        """Whether the peer may be on this machine; to others nothing is offered."""
        self._given: _Given | None = None
        self._told = False
        """Why the peer does not open what is offered: once, whatever else it says later."""
        self._pause = RETRY_S
        self._lent: dict[int, Blob] = {}
        """What the peer may be reading, by number."""
        self._next = 0
        self._known = 0
        """The peer has had all below."""
        self._act_at = 0.0
        """When to offer next; once the offer is taken, when to give up without news."""

    def offer(self, now: float) -> ArenaOffer | None:
        """The offer to send now, if one is due."""
        given = self._given
        if given is not None and not self._memory.is_present(given.arena) and self._known == self._next:
            self.interrupted(now)
            given = None
        if not self.near or now < self._act_at or (given is not None and given.open):
            return None
        arena, here = self._memory.arena(), machine()
        if arena is None or here is None:
            return None
        pid, size = os.getpid(), arena.size
        offer = ArenaOffer(
            offer_id=secrets.token_bytes(16), machine=here, pid=pid, descriptor=arena.descriptor, size=size
        )
        self._given = _Given(offer, arena)
        self._act_at = now + OFFER_REPEAT_S
        return offer

    def answered(self, answer: ArenaAnswer, now: float) -> None:
        """The peer has opened the arena, or says why it has not, or does not any more."""
        given = self._given
        if given is None or given.offer.offer_id != answer.offer_id:
            return
        if answer.taken:
            given.open, self._pause = True, RETRY_S
            self._tally[Tally.ARENA_TAKEN] += 1
            self._memory.read_by(self._peer)
            return
        taken = given.open
        self.interrupted(now)
        if not taken:
            self._act_at = now + self._pause
            self._pause = min(2 * self._pause, REFUSED_S)
            self._note_refusal(answer.reason)

    def _note_refusal(self, reason: str) -> None:
        self._tally[Tally.NOT_SHARED] += 1
        if not self._told:
            self._told = True
            self._memory.tell(SharingFailed(self._peer, reason))

    def place(self, now: float) -> BlobsPlaced | None:
        """What to tell the peer of blobs that wait and lie in the arena, if any do."""
        given = self._given
        if given is None or not given.open:
            return None
        room = min(MOST_PLACED, MOST_HELD - len(self._lent))
        blobs = self._outbound.divert(partial(_lies_in, given.arena), room)
        if not blobs:
            return None
        if self._known == self._next:
            self._act_at = now + STALL_S
        placed = []
        for blob in blobs:
            offset = given.arena.offset_of(blob.payload)
            assert offset is not None
            placed.append(Placed(self._next, offset, blob.header))
            self._lent[self._next] = blob
            self._next += 1
            self._tally[Tally.SHARED_BYTES_SENT] += len(blob.payload)
        return BlobsPlaced(given.offer.offer_id, tuple(placed))

    def held(self, message: BlobsHeld, now: float) -> None:
        """The peer has had the blobs below ``message.through`` and reads some of them."""
        given = self._given
        if given is None or given.offer.offer_id != message.offer_id:
            return  # of an earlier offer
        if not self._known <= message.through <= self._next:
            return
        for number in range(self._known, message.through):
            self._outbound.arrived_elsewhere(self._lent[number])
        self._known, self._act_at = message.through, now + STALL_S
        held = frozenset(message.held)
        self._lent = {n: blob for n, blob in self._lent.items() if n >= self._known or n in held}

    def stalled(self, now: float) -> bool:
        """Whether the peer has said nothing for too long of what was placed for it."""
        return self._known < self._next and now >= self._act_at

    def interrupted(self, now: float) -> None:
        """The peer does not read the arena any more, or nobody knows: what it has not had waits again."""
        given, self._given = self._given, None
        if given is None:
            return
        self._outbound.returned([self._lent[number] for number in range(self._known, self._next)], now)
        self._memory.left_by(self._peer, given.arena, reading=bool(self._lent))
        self._lent.clear()
        self._next = self._known = 0
        self._act_at = now + RETRY_S if given.open else now


def _lies_in(arena: Arena, blob: Blob) -> bool:
    return may_be_shared(blob.header) and arena.offset_of(blob.payload) is not None
