"""Whom this peer knows: the peers table, heartbeats, and when it must look at the table again."""

from __future__ import annotations

from p2pgan.protocol.core import Core, PeerView
from p2pgan.protocol.effects import ReadPeers
from p2pgan.protocol.events import PeersRead
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import Heartbeat

LOOK_AROUND_S = 10.0
"""Between two looks at the table while no leader is heard."""


class Membership:
    """Keeps ``core.peers`` equal to the peers table, and remembers who was heard when."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._reading = False
        self._wanted = True
        self._next_read = 0.0
        self._read_at = 0.0

    def want(self) -> None:
        """The table may have changed; read it soon."""
        self._wanted = True

    def look_around(self) -> None:
        """Nobody leads: read the table now and then, it may say that this peer counts as lost."""
        if self._core.now - self._read_at >= LOOK_AROUND_S:
            self._wanted = True

    def hint(self, generation: int) -> None:
        """Somebody has seen this generation of the table."""
        if generation > self._core.peers_generation:
            self._wanted = True

    def tick(self) -> None:
        if self._wanted and not self._reading and self._core.now >= self._next_read:
            self._reading, self._wanted = True, False
            self._read_at = self._core.now
            self._next_read = self._core.now + self._core.config.poll_s
            self._core.emit(ReadPeers())

    def read(self, event: PeersRead) -> None:
        core = self._core
        self._reading = False
        core.peers_generation = max(core.peers_generation, event.generation)
        core.peers_read_at = core.now
        core.shared_names = event.shared_names
        known = event.by_id
        for peer in sorted(core.peers.keys() - known.keys()):
            if not core.peers[peer].left:
                core.note("peer", f"{core.name(peer)} is not registered any more")
            del core.peers[peer]
        for peer, view in core.peers.items():
            view.info = known[peer]
        if new := known.keys() - core.peers.keys() - {core.me}:
            core.peers.update((peer, PeerView(known[peer])) for peer in new)
            core.peers = dict(sorted(core.peers.items()))

    def failed(self) -> None:
        """The table could not be read; the cached one stays in force."""
        self._reading, self._wanted = False, True
        self._next_read = self._core.now + 2 * self._core.config.poll_s

    def left(self, peer: PeerId) -> None:
        """It said that it leaves: not alive any more, without waiting for silence."""
        view = self._core.peers.get(peer)
        if view is not None:
            view.heard_at, view.beat, view.left = None, None, True
        self._wanted = True

    def link_ended(self, peer: PeerId) -> None:
        """A sign that it is gone, unless its word still comes over the connection that it dialled itself."""
        view = self._core.peers.get(peer)
        if view is not None:
            view.link_ended_at = self._core.now

    def heard(self, sender: PeerId, beat: Heartbeat | None) -> None:
        view = self._core.peers.get(sender)
        if view is None:
            self._wanted = True
            return
        view.heard_at, view.link_ended_at, view.left = self._core.now, None, False
        if beat is not None:
            view.beat, view.version, view.digest = beat, beat.version, beat.digest
