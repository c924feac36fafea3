"""The leader's pool of work: which spans are open, which peer holds which, what is done.

The pool is derived from committed progress and the ledger, never from the database's unit leases:
those only show others what is handed out, so a dead database does not stop the work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from p2pgan.protocol.effects import UnitClaim
from p2pgan.protocol.events import EpochDone
from p2pgan.protocol.ids import PeerId, Span, images_in
from p2pgan.protocol.spans import OpenSpans


def complement(done: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Gaps that ``done`` ranges (any order, possibly adjacent) leave in ``[0, length)``."""
    gaps = []
    position = 0
    for start, stop in sorted(done):
        if start > position:
            gaps.append((position, start))
        position = max(position, stop)
    if position < length:
        gaps.append((position, length))
    return gaps


MOST_UNITS_ON_THE_WAY = 32_768
"""Units handed out and not in a version yet, over all peers; the rendezvous opens no epoch beyond."""


class UnitPool:
    """Hands out spans so that each image of an epoch is held by one peer at most."""

    def __init__(
        self,
        images: int,
        unit_images: int,
        microbatch: int,
        goal_epochs: int | None,
        parts: Sequence[int] = (),
    ) -> None:
        self._images = images
        self._unit_images = unit_images
        self._microbatch = microbatch
        self._goal_epochs = goal_epochs
        self._open = OpenSpans(images, unit_images, parts)
        self._held: dict[PeerId, tuple[Span, ...]] = {}
        self._ahead: dict[PeerId, tuple[Span, ...]] = {}
        """What a peer goes on with once it is done with what it holds."""
        self._next_epoch = 0
        self._claimed: set[tuple[int, int]] = set()

    def restore(self, epochs: Iterable[EpochDone], uncommitted: Iterable[Span]) -> None:
        """Start from committed progress plus spans that are in the weights but not yet committed."""
        done: dict[int, list[tuple[int, int]]] = {e.epoch: list(e.ranges) for e in epochs}
        lowest = min(done, default=0)
        for span in uncommitted:
            done.setdefault(span.epoch, []).append((span.start, span.stop))
        self._held, self._ahead, self._claimed = {}, {}, set()
        self._open.clear()
        self._next_epoch = lowest
        for epoch in range(lowest, max(done, default=lowest - 1) + 1):
            self._open_epoch(epoch, complement(done.get(epoch, []), self._images))

    def _open_epoch(self, epoch: int, gaps: Iterable[tuple[int, int]] | None = None) -> None:
        self._open.open_epoch(epoch, gaps)
        self._next_epoch = epoch + 1

    @property
    def exhausted(self) -> bool:
        """Nothing is open and the goal allows no further epoch."""
        return not self._open and self._goal_epochs is not None and self._next_epoch >= self._goal_epochs

    def holders(self) -> set[PeerId]:
        """Peers that hold spans."""
        return {peer for peer, spans in self._held.items() if spans}

    def held(self, peer: PeerId) -> tuple[Span, ...]:
        return self._held.get(peer, ())

    def take(self, peer: PeerId, images: int, own: Collection[int] = ()) -> tuple[Span, ...]:
        """At least ``images`` images if there are as many, cut at microbatches; replaces what it held.

        They are of the parts ``own`` while the epoch has some of these.
        """
        self.give_back(peer)
        self._held[peer] = self._cut(images, own)
        return self._held[peer]

    def take_ahead(self, peer: PeerId, images: int, own: Collection[int] = ()) -> tuple[Span, ...]:
        """As many for ``peer`` to go on with while what it holds is averaged; what it has of that stays."""
        if not self._ahead.get(peer):
            self._ahead[peer] = self._cut(images, own)
        return self._ahead[peer]

    def _cut(self, images: int, own: Collection[int]) -> tuple[Span, ...]:
        """Open spans of so many images, which are open no more."""
        taken: list[Span] = []
        missing = images
        room: int | None = None
        while missing > 0:
            if not self._open:
                room = self._room() if room is None else room
                if self.exhausted or images - missing >= room:
                    break
                self._open_epoch(self._next_epoch)
            span = self._open.pop(own)
            wanted = -(-missing // self._microbatch) * self._microbatch
            if span.images > wanted:
                cut = span.start + wanted
                self._open.add(Span(span.epoch, span.unit, cut, span.stop))
                span = Span(span.epoch, span.unit, span.start, cut)
            taken.append(span)
            missing -= span.images
        return tuple(taken)

    def _room(self) -> int:
        """Images that may be handed out yet: what a peer says of its speed must not fill our memory."""
        on_the_way = images_in(tuple(self._handed_out()))
        return MOST_UNITS_ON_THE_WAY * min(self._unit_images, self._images) - on_the_way

    def _handed_out(self) -> Iterator[Span]:
        return chain.from_iterable((*self._held.values(), *self._ahead.values()))

    def take_exactly(self, peer: PeerId, spans: tuple[Span, ...]) -> bool:
        """Let ``peer`` go on with spans it reports to hold, if all of them are its own or open."""
        if spans and spans == self.held(peer):
            return True
        self.give_back(peer)
        self._open_further(spans)
        if not spans or not self._all_open(spans):
            return False
        for span in spans:
            self._open.remove(span)
        self._held[peer] = spans
        return True

    def _open_further(self, spans: tuple[Span, ...]) -> None:
        """The last leader may have begun the next epoch, or the one after, without a trace of it here."""
        newest = max((s.epoch for s in spans), default=-1)
        if newest <= self._next_epoch + 1:
            while self._next_epoch <= newest and (
                self._goal_epochs is None or self._next_epoch < self._goal_epochs
            ):
                self._open_epoch(self._next_epoch)

    def _all_open(self, spans: tuple[Span, ...]) -> bool:
        ordered = sorted(spans)
        if any(a.overlaps(b) for a, b in zip(ordered, ordered[1:], strict=False)):
            return False
        return all(s.images > 0 and self._open.has(s) for s in ordered)

    def give_back(self, peer: PeerId) -> tuple[Span, ...]:
        """Open the spans of a peer that will not contribute them."""
        spans = self._held.pop(peer, ()) + self._ahead.pop(peer, ())
        for span in spans:
            self._open.add(span)
        return spans

    def done(self, peer: PeerId) -> None:
        """The spans of ``peer`` are in a version; it goes on with those ahead."""
        self._held.pop(peer, None)
        if ahead := self._ahead.pop(peer, ()):
            self._held[peer] = ahead

    def claims(self) -> tuple[UnitClaim, ...]:
        """Units handed out since the last call that no earlier call named."""
        fresh = sorted({(s.epoch, s.unit) for s in self._handed_out()} - self._claimed)
        self._claimed.update(fresh)
        size = self._unit_images
        return tuple(UnitClaim(e, u, u * size, min((u + 1) * size, self._images)) for e, u in fresh)
