"""The bounds of the bulk channel: what one peer may cost in memory, and how long a key lives."""

from __future__ import annotations

from dataclasses import dataclass

from p2pgan.errors import ConfigError

FRAME_BYTES = 1 << 20
"""Payload bytes in one sealed frame; only a blob's last frame is shorter."""
CREDIT_EVERY_FRAMES = 4
"""A receiver gives credit as soon as so many frames have come, so no share of a window is smaller."""


def frames_of(length: int) -> int:
    """Frames that a blob of ``length`` bytes takes: its header and its parts."""
    return 1 + -(-length // FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class BulkLimits:
    """Bounds per peer and direction.

    Raises:
        ConfigError: a key would not last for one blob of the greatest length.
    """

    max_blob_bytes: int = 1 << 30
    """A longer blob is neither sent nor received. A receiver holds at most one unfinished blob per peer."""
    max_queued_bytes: int = 2 << 30
    """Payload bytes that may wait for one peer, those not yet acknowledged included."""
    window_frames: int = 8
    """Frames in flight before the sender waits for credit: 8 MiB, as a line of 0.6 Gbit/s holds in 0.1 s.
    Each is a buffer for as long as its key lives; twice as many were no faster."""
    uplink_frames: int = 16
    """Frames in flight to all peers together, as many as there are when a key is accepted."""
    frames_per_key: int = 1 << 20
    """A key is replaced after so many frames (a tebibyte), far below what AES-GCM allows (2**32)."""
    max_shared_bytes: int = 2 << 30
    """Size of the memory that peers of this machine read payloads from; 0 shares nothing, either way. Only
    what is used of it takes memory."""

    def __post_init__(self) -> None:
        if frames_of(self.max_blob_bytes) > self.frames_per_key:
            raise ConfigError("frames_per_key is too small for one blob of max_blob_bytes: raise it")

    def window(self, peers: int) -> int:
        """Frames in flight to one of so many peers, who share the uplink."""
        return min(self.window_frames, max(CREDIT_EVERY_FRAMES, self.uplink_frames // peers))
