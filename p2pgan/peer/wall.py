"""Whether nobody can dial this peer, as behind a firewall: it dials others, and none of them ever comes."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.protocol.core import Core
from p2pgan.protocol.ids import PeerId
from p2pgan.transport import Ways

SURE_S = 10.0
"""Others dial a peer as soon as it has shown them that it is in the table: that takes a second or two."""


class Wall:
    """Looks at the connections now and then."""

    def __init__(self, core: Core, ways: Callable[[], Ways]) -> None:
        self._core, self._ways = core, ways
        self._since: float | None = None

    def stands(self, now: float) -> bool:
        """Whether there is one, to be asked about once a second; ``now`` is of a monotonic clock."""
        if self.dialled() and not self._inward():
            self._since = now if self._since is None else self._since
        else:
            self._since = None
        return self._since is not None and now - self._since >= SURE_S

    def others(self) -> frozenset[PeerId]:
        """Who should be here; who cannot lead only orders images, and may be gone at any moment."""
        peers = self._core.peers.items()
        return frozenset(peer for peer, view in peers if view.info.can_lead and not view.info.gone)

    def dialled(self) -> frozenset[PeerId]:
        """Those of them that let this peer in."""
        return self._ways().out & self.others()

    def _inward(self) -> frozenset[PeerId]:
        return self._ways().inward & self.others()
