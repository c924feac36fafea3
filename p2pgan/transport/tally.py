"""What the transport counts: traffic, and everything that it drops, by reason."""

from __future__ import annotations

from enum import StrEnum

from p2pgan.errors import PeerFault


class Tally(StrEnum):
    """Names of the counters; all but the first group say why something was dropped."""

    MESSAGES_SENT = "messages_sent"
    MESSAGES_RECEIVED = "messages_received"
    BLOBS_SENT = "blobs_sent"
    """Acknowledged to their last frame."""
    BLOBS_RECEIVED = "blobs_received"
    MESSAGE_BYTES_SENT = "message_bytes_sent"
    """All that goes over control connections, as ZeroMQ gets it."""
    MESSAGE_BYTES_RECEIVED = "message_bytes_received"
    FRAME_BYTES_SENT = "frame_bytes_sent"
    """Sealed bytes, headers included."""
    FRAME_BYTES_RECEIVED = "frame_bytes_received"
    SHARED_BYTES_SENT = "shared_bytes_sent"
    """Payloads that peers of this machine read where they were written; on no wire."""
    SHARED_BYTES_RECEIVED = "shared_bytes_received"
    ARENA_TAKEN = "arena_taken"
    """A peer began to read payloads where they are written."""
    NOT_SHARED = "not_shared"
    """Memory that a peer of the same address does not read, or that cannot be read here: see the log."""
    ARENA_FULL = "arena_full"
    """A payload for which there was no room in shared memory; it went sealed."""
    REKEYED = "rekeyed"
    """A bulk connection ended, or its key was used up, and the next one needs a fresh key."""

    UNKNOWN_PEER = "unknown_peer"
    """Something to send to a key that is not in the table."""
    UNUSABLE_ADDRESS = "unusable_address"
    """A row of the table whose key or address cannot be dialled."""
    QUEUE_FULL = "queue_full"
    """The oldest waiting message or blob gave way to a newer one."""
    BLOB_REPEATED = "blob_repeated"
    """The same blob already waits to be sent, or travels."""
    BLOB_EXPIRED = "blob_expired"
    """The peer took no key for so long that what waited so long for it is stale."""
    STRANGER_DENIED = "stranger_denied"
    BULK_DENIED = "bulk_denied"
    """A bulk connection without a live, unused key id."""
    REVOKED = "revoked"
    """A message over a connection whose key is no longer allowed."""
    BARRED = "barred"
    """A message or connection of a peer that was cut off a moment ago."""
    CROWD_DENIED = "crowd_denied"
    """The oldest of too many connections that have said nothing."""
    ENDLESS = "endless"
    """A connection cut off because its message goes on and on."""
    MALFORMED = "malformed"
    FRAME_UNKNOWN_KEY = "frame_unknown_key"
    FRAME_REPLAYED = "frame_replayed"
    FRAME_FORGED = "frame_forged"
    BLOB_TOO_LONG = "blob_too_long"
    BLOB_INTERRUPTED = "blob_interrupted"
    BLOB_CORRUPT = "blob_corrupt"
    """Its BLAKE3 is not the one its header promised."""


OFFENCES = frozenset(
    {
        Tally.MALFORMED,
        Tally.ENDLESS,
        Tally.FRAME_REPLAYED,
        Tally.FRAME_FORGED,
        Tally.BLOB_TOO_LONG,
        Tally.BLOB_CORRUPT,
    }
)
"""What no peer sends that keeps to the protocol, whatever was lost, delayed or restarted. It is also
counted by peer. Someone on the way can bring a peer into disrepute for what is forged or replayed on bulk."""


class Refused(PeerFault):
    """Input of a peer that is dropped; ``reason`` is the counter it goes under."""

    def __init__(self, reason: Tally, text: str) -> None:
        super().__init__(text)
        self.reason = reason
