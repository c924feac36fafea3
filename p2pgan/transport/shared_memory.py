"""The arena that a transport has at present, if peers of this machine read from one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from p2pgan.protocol.ids import PeerId
from p2pgan.transport.arena import Arena, private_memory
from p2pgan.transport.arrivals import PeerAddress, SharingFailed
from p2pgan.transport.tally import Tally


def host_of(endpoint: str) -> str:
    """``host`` of ``tcp://host:port``."""
    return endpoint.removeprefix("tcp://").rpartition(":")[0]


class SharedMemory:
    """Made and used by the transport's thread; only :meth:`allocate` may be called from any."""

    def __init__(
        self, owner: PeerId, size: int, tally: Counter[Tally], tell: Callable[[SharingFailed], None]
    ) -> None:
        """``size``: bytes of an arena; 0 shares nothing. ``tell`` is called where frames take its place."""
        self._owner, self._size, self._tally, self.tell = owner, size, tally, tell
        self.host: str | None = None
        """Where this peer tells others to dial, once it listens."""
        self._arena: Arena | None = None
        self._readers: set[PeerId] = set()
        if not hasattr(os, "memfd_create"):
            self._size = 0

    def allocate(self, size: int) -> memoryview:
        """Memory for a payload, where peers of this machine can read it if any do and there is room."""
        arena = self._arena if self._readers else None
        if arena is not None:
            shared = arena.allocate(size)
            if shared is not None:
                return shared
            self._tally[Tally.ARENA_FULL] += 1
        return private_memory(size)

    def arena(self) -> Arena | None:
        """What to offer to a peer of this machine; None if there is nothing to share."""
        if self._arena is None and self._size:
            try:
                self._arena = Arena(self._owner, self._size)
            except OSError as error:
                self._size = 0
                self._tally[Tally.NOT_SHARED] += 1
                self.tell(SharingFailed(None, str(error)))
        return self._arena

    def is_near(self, address: PeerAddress) -> bool:
        """Whether the peer there may be on this machine: it is dialled at the same host."""
        return host_of(address.control) == self.host

    def is_present(self, arena: Arena) -> bool:
        """Whether payloads are still put there."""
        return arena is self._arena

    def read_by(self, peer: PeerId) -> None:
        """``peer`` reads from the present arena."""
        self._readers.add(peer)

    def left_by(self, peer: PeerId, arena: Arena, reading: bool) -> None:
        """It does so no more; ``reading``: it may have been in the midst of it.

        Nobody can know when it is done then: what it may read must stay as it is, so the arena is
        not written to any more. It goes with the last payload in it.
        """
        last = self._readers == {peer}
        self._readers.discard(peer)
        if self.is_present(arena) and (reading or last):
            self._arena = None
