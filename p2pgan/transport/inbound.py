"""The receiving end of one direction of a pair: sealed frames back into blobs, under one key."""

from __future__ import annotations

from collections import Counter

import blake3
import numpy as np

from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import BlobHeader
from p2pgan.transport.arrivals import BlobArrived
from p2pgan.transport.codec import decode_header
from p2pgan.transport.keying import Credit, SealOffer
from p2pgan.transport.limits import CREDIT_EVERY_FRAMES, FRAME_BYTES, BulkLimits
from p2pgan.transport.seal import FrameHeader, FrameKind, Opener
from p2pgan.transport.tally import Refused, Tally

CREDIT_EVERY_S = 1.0
"""On a slow link credit comes by time, so that the sender can tell slow from dead."""


class Assembly:
    """One blob on its way in: its bytes go straight to their place."""

    def __init__(self, header: BlobHeader) -> None:
        self.header = header
        # Untouched pages cost nothing, so a header alone does not claim its length in memory.
        self.payload = np.empty(header.length, dtype=np.uint8).data
        # An empty digest promises nothing: the seal has bound each part to its place already.
        self._hash = blake3.blake3() if header.digest else None
        self._received = 0

    @property
    def missing(self) -> int:
        return len(self.payload) - self._received

    def place(self, size: int) -> memoryview:
        """Where the next ``size`` bytes belong."""
        return self.payload[self._received : self._received + size]

    def placed(self, part: memoryview) -> None:
        if self._hash is not None:
            self._hash.update(part)
        self._received += len(part)

    @property
    def intact(self) -> bool:
        return self._hash is None or self._hash.hexdigest() == self.header.digest


class Inbound:
    """What one peer sends under one offered key."""

    def __init__(self, sender: PeerId, offer: SealOffer, limits: BulkLimits, tally: Counter[Tally]) -> None:
        self.sender = sender
        self.key_id = offer.key_id
        self.connected = False
        """A key admits one connection, so this never falls back to false."""
        self._limits = limits
        self._tally = tally
        self._opener = Opener(offer.key)
        self._assembly: Assembly | None = None
        self._scratch = memoryview(bytearray(FRAME_BYTES))
        self._credited = 0
        self._credited_at = 0.0

    def receive(self, frame: memoryview, header: FrameHeader) -> BlobArrived | None:
        """Take in one frame under this key; the blob it completes, if it does.

        Raises:
            Refused: the frame or the blob it belongs to is dropped; later blobs are not affected.
        """
        lost_frames = header.counter > self._opener.expected
        if header.kind is FrameKind.BEGIN:
            plain = self._scratch[: header.room]
            self._opener.open_into(frame, header, plain)
            self.abandon()
            self._assembly = self._begin(plain)
        else:
            self._part(frame, header, lost_frames)
        return self._complete()

    def credit(self, now: float) -> Credit | None:
        """The credit to send now, if enough frames or enough time passed, or a blob ended."""
        through = self._opener.expected
        fresh = through - self._credited
        if not fresh:
            return None
        due = (
            fresh >= CREDIT_EVERY_FRAMES
            or self._assembly is None
            or now >= self._credited_at + CREDIT_EVERY_S
        )
        if not due:
            return None
        self._credited, self._credited_at = through, now
        return Credit(key_id=self.key_id, through=through)

    def _begin(self, plain: memoryview) -> Assembly:
        header = decode_header(plain)
        if header.length > self._limits.max_blob_bytes:
            raise Refused(Tally.BLOB_TOO_LONG, f"a blob of {header.length} bytes")
        return Assembly(header)

    def _part(self, frame: memoryview, header: FrameHeader, lost_frames: bool) -> None:
        assembly = self._assembly
        if assembly is None or lost_frames or header.room > assembly.missing:
            # Still opened, so that the counter moves on and the sender gets its credit.
            self._opener.open_into(frame, header, self._scratch[: header.room])
            self.abandon()
            return
        part = assembly.place(header.room)
        self._opener.open_into(frame, header, part)
        assembly.placed(part)

    def _complete(self) -> BlobArrived | None:
        assembly = self._assembly
        if assembly is None or assembly.missing:
            return None
        self._assembly = None
        if not assembly.intact:
            raise Refused(Tally.BLOB_CORRUPT, "a blob whose digest is not the promised one")
        return BlobArrived(self.sender, assembly.header, assembly.payload)

    def abandon(self) -> None:
        """Drop the unfinished blob, if there is one."""
        if self._assembly is not None:
            self._tally[Tally.BLOB_INTERRUPTED] += 1
            self._assembly = None
