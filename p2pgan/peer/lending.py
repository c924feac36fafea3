"""To whom this peer gives its weights, and how much of them it has given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from p2pgan.protocol.ids import PeerId

RECENT_S = 5.0
"""A joiner that asked for nothing for so long has all it wanted, or went elsewhere for it."""


@dataclass
class Lent:
    """One version on its way to one peer. Other donors give it the rest."""

    to: PeerId
    version: int
    length: int
    """Bytes of the whole version."""
    asked_at: float
    chunks: dict[int, int] = field(default_factory=dict)
    """Bytes by the number of the chunk: one that is asked for again counts once."""

    @property
    def sent(self) -> int:
        return sum(self.chunks.values())


class Lending:
    """Used by the peer's loop alone; at most one entry for each peer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lent: dict[PeerId, Lent] = {}

    def gave(self, to: PeerId, version: int, length: int, index: int, size: int) -> None:
        """A chunk was sent to ``to``."""
        lent = self._lent.get(to)
        if lent is None or lent.version != version:
            lent = self._lent[to] = Lent(to, version, length, self._clock())
        lent.asked_at = self._clock()
        lent.chunks[index] = size

    def under_way(self) -> list[Lent]:
        """What was asked for a moment ago and is not all there; the rest is forgotten."""
        now = self._clock()
        self._lent = {
            peer: lent
            for peer, lent in self._lent.items()
            if now - lent.asked_at < RECENT_S and lent.sent < lent.length
        }
        return list(self._lent.values())
