"""How fast this peer sends: acknowledged bytes over the time in which frames were on their way."""

from __future__ import annotations

MEASURE_S = 0.05
"""Busy time that makes one measurement; shorter ones say more about the scheduler than about the wire."""
NEWEST = 0.3
"""Weight of the newest measurement."""


class Meter:
    """All links of one transport together, since they share its uplink. Used by its thread alone."""

    def __init__(self) -> None:
        self.bytes_per_s = 0.0
        """Of late; 0 before the first measurement."""
        self._on_their_way = 0
        self._busy_since = 0.0
        self._busy_s = 0.0
        self._acknowledged = 0

    def sent(self, size: int, now: float) -> None:
        """A frame of ``size`` bytes left."""
        if not self._on_their_way:
            self._busy_since = now
        self._on_their_way += size

    def acknowledged(self, size: int, now: float) -> None:
        """The receiver has so many bytes."""
        self._acknowledged += size
        self._gone(size, now)

    def lost(self, size: int, now: float) -> None:
        """So many bytes will not be acknowledged: their connection ended."""
        self._gone(size, now)

    def _gone(self, size: int, now: float) -> None:
        self._busy_s += now - self._busy_since
        self._busy_since = now
        self._on_their_way -= size
        if self._busy_s >= MEASURE_S:
            fresh = self._acknowledged / self._busy_s
            known = self.bytes_per_s or fresh
            self.bytes_per_s = known + NEWEST * (fresh - known)
            self._busy_s, self._acknowledged = 0.0, 0
