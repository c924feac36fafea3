"""The receiving end of one direction of a pair that shares memory: blobs read where their sender put them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from p2pgan.protocol.ids import PeerId
from p2pgan.transport.arena import HEAD_BYTES
from p2pgan.transport.arrivals import BlobArrived, SharingFailed
from p2pgan.transport.foreign import CannotShare, ForeignArena
from p2pgan.transport.limits import BulkLimits
from p2pgan.transport.sharing import (
    MOST_HELD,
    ArenaAnswer,
    ArenaOffer,
    BlobsHeld,
    BlobsPlaced,
    Placed,
    may_be_shared,
)
from p2pgan.transport.tally import Refused, Tally

LOOK_EVERY_S = 0.5
LOOKS_AT_ONCE = 4
"""Looking at an offer costs several calls of the kernel: of many at once no more are looked at."""
TELL_EVERY_BLOBS = 8
TELL_AFTER_S = 0.05
"""So late at most the sender learns that a blob arrived, or is not read any more."""


class PlacedIn:
    """What one peer of this machine places. Times are seconds of one monotonic clock."""

    def __init__(
        self,
        sender: PeerId,
        limits: BulkLimits,
        tally: Counter[Tally],
        tell: Callable[[SharingFailed], None],
    ) -> None:
        self._sender, self._limits, self._tally, self._tell = sender, limits, tally, tell
        self._offer: ArenaOffer | None = None
        self._arena: ForeignArena | None = None
        self._next = 0
        self._held: set[int] = set()
        self._untold = 0
        """Blobs that came or were dropped since the sender was told."""
        self._tell_at = 0.0
        self._look_at = 0.0
        self._told = False
        """Why an offer could not be opened: once, as the sender can bring about any number of reasons."""

    def offered(self, offer: ArenaOffer, now: float) -> ArenaAnswer:
        """Open what was offered, if that can be; the answer."""
        if offer == self._offer:
            return ArenaAnswer(offer.offer_id, self._arena is not None)
        self.close()
        if not self._limits.max_shared_bytes:
            return ArenaAnswer(offer.offer_id, False, "shared memory is switched off here")
        if self._look_at > now + LOOKS_AT_ONCE * LOOK_EVERY_S:
            return ArenaAnswer(offer.offer_id, False, "offers come too fast")
        self._look_at = max(self._look_at, now) + LOOK_EVERY_S
        try:
            self._arena = ForeignArena(self._sender, offer)
        except CannotShare as error:
            self._tally[Tally.NOT_SHARED] += 1
            if not self._told:
                self._told = True
                self._tell(SharingFailed(self._sender, str(error)))
            return ArenaAnswer(offer.offer_id, False, str(error)[:200])
        self._offer = offer
        return ArenaAnswer(offer.offer_id, True)

    def arrived(self, message: BlobsPlaced, now: float) -> list[BlobArrived] | None:
        """The blobs that were placed and are new here; None if the sender must begin with a fresh offer.

        Raises:
            Refused: one of them cannot be; none of them arrives.
        """
        arena, offer = self._arena, self._offer
        if arena is None or offer is None or offer.offer_id != message.offer_id:
            return None
        first = message.blobs[0].number
        for index, placed in enumerate(message.blobs):
            self._check(placed, first + index, offer.size)
        if first > self._next:
            return None
        fresh = message.blobs[self._next - first :]
        arrived = [blob for blob in (self._take(arena, placed) for placed in fresh) if blob is not None]
        self._note(len(fresh), now)
        return arrived

    def news(self, now: float) -> BlobsHeld | None:
        """What to tell the sender now, if enough happened since it was told."""
        arena, offer = self._arena, self._offer
        if arena is None or offer is None:
            return None
        dropped = 0
        while arena.dropped:
            self._held.discard(arena.dropped.popleft())
            dropped += 1
        self._note(dropped, now)
        if not self._untold or (self._untold < TELL_EVERY_BLOBS and now < self._tell_at):
            return None
        self._untold = 0
        return BlobsHeld(offer.offer_id, self._next, tuple(sorted(self._held)))

    def tell_again(self, now: float) -> None:
        """What the sender was told may have been lost."""
        if self._arena is not None:
            self._note(TELL_EVERY_BLOBS, now)

    def close(self) -> None:
        """Read no more blobs; those that are read keep their memory."""
        self._arena = self._offer = None
        self._next = self._untold = 0
        self._held = set()

    def _check(self, placed: Placed, number: int, size: int) -> None:
        header = placed.header
        if placed.number != number or not header.length or not may_be_shared(header):
            raise Refused(Tally.MALFORMED, "a blob that is not one to be placed")
        if header.length > self._limits.max_blob_bytes:
            raise Refused(Tally.BLOB_TOO_LONG, f"a blob of {header.length} bytes")
        if placed.offset < HEAD_BYTES or placed.offset + header.length > size:
            raise Refused(Tally.MALFORMED, "a blob beyond the bounds of its arena")

    def _take(self, arena: ForeignArena, placed: Placed) -> BlobArrived | None:
        self._next = placed.number + 1
        if len(self._held) >= MOST_HELD:
            self._tally[Tally.QUEUE_FULL] += 1
            return None
        self._held.add(placed.number)
        self._tally[Tally.SHARED_BYTES_RECEIVED] += placed.header.length
        payload = arena.payload(placed.number, placed.offset, placed.header.length)
        return BlobArrived(self._sender, placed.header, payload)

    def _note(self, count: int, now: float) -> None:
        if count and not self._untold:
            self._tell_at = now + TELL_AFTER_S
        self._untold += count
