"""Whose contributions the leader could not use, and who is set aside for it.

::

    GOOD --rejected--> DOUBTED --for the third time in a row--> SET ASIDE --set_aside_s--> GOOD
     ^--- in a version ---'

Only what the leader itself finds invalid counts. Another owner's word makes it look, no more: else
an owner could have others thrown out. A new term gives everyone another chance, so that a hostile
leader's verdict ends with its term.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2pgan.protocol.core import Core
from p2pgan.protocol.ids import PeerId

REJECTIONS = 3
"""Rejected so often in a row, a peer is set aside."""


class Standing:
    """Kept by the leader during its term."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rejections: dict[PeerId, int] = {}
        self._set_aside: dict[PeerId, tuple[float, str]] = {}
        """Until when, and why."""

    def begin(self) -> None:
        """A term begins."""
        self._rejections, self._set_aside = {}, {}

    def rejected(self, peer: PeerId, reason: str) -> bool:
        """The contribution of ``peer`` to a round is not valid; says whether that sets it aside."""
        times = self._rejections.pop(peer, 0) + 1
        if times < REJECTIONS:
            self._rejections[peer] = times
            return False
        self._set_aside[peer] = (self._core.now + self._core.config.set_aside_s, reason)
        return True

    def counted(self, peers: Iterable[PeerId]) -> None:
        """Their contributions are in a version."""
        for peer in peers:
            self._rejections.pop(peer, None)

    def is_set_aside(self, peer: PeerId) -> bool:
        """Whether ``peer`` gets no work and no shard now."""
        until, _ = self._set_aside.get(peer, (0.0, ""))
        return self._core.now < until

    def why(self, peer: PeerId) -> str:
        """Why ``peer`` is set aside; empty if it is not."""
        return self._set_aside[peer][1] if self.is_set_aside(peer) else ""
