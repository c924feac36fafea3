"""One sealed frame: AES-256-GCM (NIST SP 800-38D) with the frame's header as associated data.

A frame is ``header (32 bytes) | ciphertext | tag (16 bytes)``. The header is, in network order:
version (1 byte, 1), kind (1 byte), 6 zero bytes, key id (16 bytes), counter (8 bytes). The nonce is the
counter as 12 bytes, so it never repeats under a key that has one sender, one direction and one
connection.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from p2pgan.transport.limits import FRAME_BYTES
from p2pgan.transport.tally import Refused, Tally

VERSION = 1
_HEADER = struct.Struct("!BB6x16sQ")
HEADER_BYTES = _HEADER.size
TAG_BYTES = 16
OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES
MAX_FRAME_BYTES = FRAME_BYTES + OVERHEAD_BYTES


class FrameKind(IntEnum):
    """What a frame's plaintext is."""

    BEGIN = 0
    """A blob's header in msgpack; an unfinished blob before it is given up."""
    PART = 1
    """The next bytes of the blob that began last."""


class FrameHeader(NamedTuple):
    """The clear part of a frame."""

    kind: FrameKind
    key_id: bytes
    counter: int
    room: int
    """Plaintext bytes in the frame."""


def parse_header(frame: memoryview) -> FrameHeader:
    """Read the clear part of ``frame``; nothing in it is authentic yet.

    Raises:
        Refused: wrong length, version or kind.
    """
    room = len(frame) - OVERHEAD_BYTES
    if not 0 <= room <= FRAME_BYTES:
        raise Refused(Tally.MALFORMED, f"a bulk frame of {len(frame)} bytes")
    version, kind, key_id, counter = _HEADER.unpack_from(frame)
    if version != VERSION or kind not in (FrameKind.BEGIN, FrameKind.PART):
        raise Refused(Tally.MALFORMED, f"a bulk frame of version {version} and kind {kind}")
    return FrameHeader(FrameKind(kind), key_id, counter, room)


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")


class Sealer:
    """Seals frames under one key, counting from zero, into a ring of ``window`` reused buffers.

    libzmq sends a frame from its buffer without a copy. A frame that the peer has given credit for
    has left the buffer, and no more than ``window`` frames are ever without credit, so a buffer's turn
    comes again only when it is free.
    """

    def __init__(self, key_id: bytes, key: bytes, window: int) -> None:
        self.key_id = key_id
        self.counter = 0
        """Counter of the next frame."""
        self._cipher = AESGCM(key)
        self._ring: list[memoryview] = []
        self.window = window
        """Frames that may be without credit."""

    def seal(self, kind: FrameKind, plain: bytes | memoryview) -> memoryview:
        """The next frame; its buffer is used again ``window`` frames later."""
        frame = self._buffer()[: len(plain) + OVERHEAD_BYTES]
        _HEADER.pack_into(frame, 0, VERSION, kind, self.key_id, self.counter)
        self._cipher.encrypt_into(_nonce(self.counter), plain, frame[:HEADER_BYTES], frame[HEADER_BYTES:])
        self.counter += 1
        return frame

    def _buffer(self) -> memoryview:
        if len(self._ring) < self.window:
            self._ring.append(memoryview(bytearray(MAX_FRAME_BYTES)))
        return self._ring[self.counter % self.window]


class Opener:
    """Opens the frames of one key, each counter at most once and only upwards."""

    def __init__(self, key: bytes) -> None:
        self.expected = 0
        """One more than the counter of the last authentic frame."""
        self._cipher = AESGCM(key)

    def open_into(self, frame: memoryview, header: FrameHeader, target: memoryview) -> None:
        """Decrypt ``frame`` into ``target``, which has ``header.room`` bytes.

        Raises:
            Refused: an old counter, or a frame that the key's holder did not seal; ``target`` may then
                hold rubbish.
        """
        if header.counter < self.expected:
            raise Refused(Tally.FRAME_REPLAYED, f"frame {header.counter} came again")
        try:
            self._cipher.decrypt_into(
                _nonce(header.counter), frame[HEADER_BYTES:], frame[:HEADER_BYTES], target
            )
        except InvalidTag as error:
            raise Refused(Tally.FRAME_FORGED, "a frame whose seal does not hold") from error
        self.expected = header.counter + 1
