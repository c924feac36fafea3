"""One listening end of a transport: takes in messages of one part, whatever else is sent to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import zmq

from p2pgan.protocol.ids import PeerId
from p2pgan.transport import sockets
from p2pgan.transport.connections import Connections
from p2pgan.transport.sockets import Socket
from p2pgan.transport.tally import Tally

MOST_PARTS = 64
"""Who sends a longer message than so many parts is cut off."""
PARTS_PER_TURN = 512
"""Parts thrown away before others have their turn."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What came in, and from whom, by the door's own knowledge."""

    sender: PeerId
    """The connection's ``User-Id``."""
    body: memoryview
    whole: bool
    """False if more parts follow, which makes it invalid."""


class Door:
    """A bound ROUTER. Used by the transport's thread alone."""

    def __init__(self, socket: Socket, longest: int, most: int, tally: Counter[Tally]) -> None:
        self.socket = socket
        self._tally = tally
        self._connections = Connections(socket, longest, most)
        self._rest: tuple[int, PeerId] | None = None
        """Connection and sender of the message whose parts are being thrown away."""
        self._parts = 0
        self._endless: list[PeerId] = []

    def bind(self, host: str, port: int) -> int:
        """Listen; the port. Raises ConfigError as :func:`p2pgan.transport.sockets.bind` does."""
        self._connections.port = sockets.bind(self.socket, host, port)
        return self._connections.port

    def receive(self) -> Letter | None:
        """The next message; None if there is none now."""
        if self._rest is not None and not self._throw_away(*self._rest):
            return None
        try:
            self.socket.recv(zmq.NOBLOCK)  # the routing id, which means nothing
        except zmq.Again:
            return None
        frame = self.socket.recv(zmq.NOBLOCK, copy=False)
        sender, connection = str(frame.get("User-Id")), int(frame.get(zmq.SRCFD))
        self._connections.heard(connection, sender)
        if frame.more:
            self._rest, self._parts = (connection, sender), 1
        return Letter(sender, frame.buffer, not frame.more)

    @property
    def monitor(self) -> Socket:
        """Readable when connections were accepted."""
        return self._connections.monitor

    def read_news(self) -> None:
        """Note the connections that were accepted."""
        self._connections.read_news()

    def offenders(self, now: float, peers: int) -> list[PeerId]:
        """Who was cut off since the last call because a message of theirs does not end."""
        cut = self._connections.check(now, peers)
        for reason, count in (
            (Tally.CROWD_DENIED, cut.silent),
            (Tally.ENDLESS, len(cut.endless) + len(self._endless)),
        ):
            if count:
                self._tally[reason] += count
        named = [*self._endless, *(peer for peer in cut.endless if peer is not None)]
        self._endless.clear()
        return named

    def close(self) -> None:
        """Stop listening."""
        self._connections.close()
        self.socket.close(linger=0)

    def _throw_away(self, connection: int, sender: PeerId) -> bool:
        """Read past more parts of an invalid message; true once it has ended."""
        for _ in range(PARTS_PER_TURN):
            self._parts += 1
            if self._parts == MOST_PARTS + 1:
                self._connections.cut(connection)
                self._endless.append(sender)
            if not self.socket.recv(zmq.NOBLOCK, copy=False).more:
                self._rest = None
                return True
        return False
