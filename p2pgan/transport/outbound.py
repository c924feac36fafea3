"""The sending end of one direction of a pair: a queue of blobs, cut into sealed frames under credit.

A state machine without sockets: :class:`p2pgan.transport.plane.Plane` moves what it says.
``IDLE`` -> ``OFFERED`` (a fresh key is on its way) -> ``OPEN`` (accepted, a connection carries frames)
-> ``IDLE`` again whenever that connection ends or the key is used up. A blob stays until its last
frame is acknowledged, and is sent again from its start under the next key if it was not.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from p2pgan.protocol.messages import BlobHeader
from p2pgan.transport.codec import encode
from p2pgan.transport.keying import Credit, SealOffer
from p2pgan.transport.limits import FRAME_BYTES, BulkLimits, frames_of
from p2pgan.transport.meter import Meter
from p2pgan.transport.seal import FrameKind, Sealer
from p2pgan.transport.tally import Tally

OFFER_REPEAT_S = 1.0
"""The control channel is reliable while a connection lasts, so an offer is seldom lost."""
RETRY_S = 0.2
"""Pause after a connection ended, so that a peer that refuses is not hammered."""
STALL_S = 30.0
"""Without any credit for so long the connection is given up; a receiver gives credit every second."""
PATIENCE_S = 30.0
"""What has waited for so long for a peer that takes no key is stale."""


class Phase(StrEnum):
    """Where the direction stands; see the module's text."""

    IDLE = "idle"
    OFFERED = "offered"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Blob:
    """A transfer that waits or travels. The payload must not change until it is acknowledged."""

    header: BlobHeader
    payload: memoryview
    stale_at: float = field(default=0.0, compare=False)
    """Until when it waits for a peer that takes no key; known once it waits."""


class Outbound:
    """Blobs for one peer. Times are seconds of one monotonic clock."""

    def __init__(self, limits: BulkLimits, tally: Counter[Tally], meter: Meter) -> None:
        self.phase = Phase.IDLE
        self._limits = limits
        self._tally = tally
        self._meter = meter.link()
        self._in_flight: deque[int] = deque()
        """Bytes of the frames without credit, oldest first."""
        self._waiting: deque[Blob] = deque()
        self._current: Blob | None = None
        self._offset = 0
        self._unacknowledged: deque[tuple[int, Blob]] = deque()
        self._diverted: deque[Blob] = deque()
        """What goes another way than in frames and has not arrived."""
        self._bytes = 0
        self._offer: SealOffer | None = None
        self._sealer: Sealer | None = None
        self._credit = 0
        self._act_at = 0.0
        """IDLE, OFFERED: when to offer next. OPEN: when to give up without credit."""

    def put(self, blob: Blob, now: float) -> None:
        """Queue ``blob``; at the bound the oldest blobs that have not begun give way.

        One that waits or travels already is not sent twice: over a slow line it is asked for again meanwhile.
        """
        size = len(blob.payload)
        if size > self._limits.max_blob_bytes:
            self._tally[Tally.BLOB_TOO_LONG] += 1
            return
        if any(known.header == blob.header for known in self._not_acknowledged()):
            self._tally[Tally.BLOB_REPEATED] += 1
            return
        while self._bytes + size > self._limits.max_queued_bytes and self._waiting:
            self._bytes -= len(self._waiting.popleft().payload)
            self._tally[Tally.QUEUE_FULL] += 1
        if self._bytes + size > self._limits.max_queued_bytes:
            self._tally[Tally.QUEUE_FULL] += 1
            return
        self._waiting.append(replace(blob, stale_at=now + PATIENCE_S))
        self._bytes += size

    @property
    def bytes_held(self) -> int:
        """Payload bytes that wait, travel, or are not acknowledged."""
        return self._bytes

    def _not_acknowledged(self) -> Iterator[Blob]:
        yield from self._waiting
        yield from self._diverted
        if self._current is not None:
            yield self._current
        for _, blob in self._unacknowledged:
            yield blob

    def divert(self, fits: Callable[[Blob], bool], most: int) -> list[Blob]:
        """Blobs that have not begun and go another way from now on, ``most`` of them; still held."""
        if not self._waiting:
            return []
        found = [blob for blob in self._waiting if fits(blob)][:most]
        if found:
            self._waiting = deque(blob for blob in self._waiting if all(blob is not each for each in found))
            self._diverted.extend(found)
        return found

    def arrived_elsewhere(self, blob: Blob) -> None:
        """A diverted blob has arrived."""
        self._diverted.remove(blob)
        self._bytes -= len(blob.payload)
        self._tally[Tally.BLOBS_SENT] += 1

    def returned(self, blobs: Sequence[Blob], now: float) -> None:
        """Diverted blobs that did not arrive wait again, before all others."""
        for blob in blobs:
            self._diverted.remove(blob)
        self._waiting.extendleft(reversed(_patient(blobs, now)))

    def offer(self, now: float) -> SealOffer | None:
        """The key offer to send now, if one is due; also drops blobs that went stale unsent."""
        if self.phase is Phase.OPEN or now < self._act_at:
            return None
        self._drop_stale(now)
        if not self._waiting:
            return None
        if self.phase is Phase.IDLE:
            self._offer = SealOffer(key_id=secrets.token_bytes(16), key=secrets.token_bytes(32))
            self.phase = Phase.OFFERED
        self._act_at = now + OFFER_REPEAT_S
        return self._offer

    def _drop_stale(self, now: float) -> None:
        for blob in [blob for blob in self._waiting if now >= blob.stale_at]:
            self._waiting.remove(blob)
            self._bytes -= len(blob.payload)
            self._tally[Tally.BLOB_EXPIRED] += 1

    def accepted(self, key_id: bytes, peers: int, now: float) -> bool:
        """The peer, one of so many, accepted ``key_id``; true if that opens the way for a connection."""
        if self.phase is not Phase.OFFERED or self._offer is None or self._offer.key_id != key_id:
            return False
        self._sealer = Sealer(self._offer.key_id, self._offer.key, self._limits.window(peers))
        self._offer = None
        self._credit = 0
        self._act_at = now + STALL_S
        self.phase = Phase.OPEN
        return True

    def next_frame(self, now: float) -> memoryview | None:
        """The next frame to send, without a copy; None without work, credit or key."""
        sealer = self._sealer
        if sealer is None or sealer.counter - self._credit >= sealer.window:
            return None
        if sealer.counter == self._credit:
            self._act_at = now + STALL_S  # nothing was in flight: the wait for credit begins here
        if self._current is None:
            if not self._waiting or self.key_used_up:
                return None
            self._current, self._offset = self._waiting.popleft(), 0
            frame = sealer.seal(FrameKind.BEGIN, encode(self._current.header))
        else:
            part = self._current.payload[self._offset : self._offset + FRAME_BYTES]
            self._offset += len(part)
            frame = sealer.seal(FrameKind.PART, part)
        self._in_flight.append(len(frame))
        self._meter.sent(len(frame), now)
        if self._offset == len(self._current.payload):
            self._unacknowledged.append((sealer.counter, self._current))
            self._current = None
        return frame

    @property
    def key_used_up(self) -> bool:
        """The next blob does not fit under the present key."""
        return (
            self._sealer is not None
            and self._current is None
            and bool(self._waiting)
            and self._sealer.counter + frames_of(len(self._waiting[0].payload)) > self._limits.frames_per_key
        )

    def over(self, now: float) -> bool:
        """True if the present connection is to be given up: its key is used up, or credit stays away."""
        if self._sealer is None:
            return False
        in_flight = self._sealer.counter > self._credit
        return self.key_used_up and not in_flight or in_flight and now >= self._act_at

    def credit(self, credit: Credit, now: float) -> None:
        """The peer has done with the frames below ``credit.through``."""
        sealer = self._sealer
        if sealer is None or credit.key_id != sealer.key_id:
            return  # of an earlier connection
        if not self._credit < credit.through <= sealer.counter:
            return
        done = sum(self._in_flight.popleft() for _ in range(credit.through - self._credit))
        self._meter.acknowledged(done, now)
        self._credit = credit.through
        self._act_at = now + STALL_S
        while self._unacknowledged and self._unacknowledged[0][0] <= self._credit:
            _, blob = self._unacknowledged.popleft()
            self._bytes -= len(blob.payload)
            self._tally[Tally.BLOBS_SENT] += 1

    def interrupted(self, now: float) -> None:
        """The connection ended: everything not acknowledged waits for the next key, in its old order."""
        self._meter.lost()
        self._in_flight.clear()
        begun = [blob for _, blob in self._unacknowledged]
        if self._current is not None:
            begun.append(self._current)
            self._current = None
        self._waiting = deque(_patient([*begun, *self._waiting], now))
        self._unacknowledged.clear()
        self._sealer = None
        self._offer = None
        self.phase = Phase.IDLE
        self._act_at = now + RETRY_S


def _patient(blobs: Sequence[Blob], now: float) -> list[Blob]:
    """The same ones, whose wait begins now."""
    return [replace(blob, stale_at=now + PATIENCE_S) for blob in blobs]
