"""The connections that others made to one of our sockets, and the end of those that only cost memory.

libzmq gathers all parts of a message before it hands over the first, without a bound, and keeps open
whatever was accepted. It does tell the descriptor of each connection, and the kernel counts what
came over it: so a message that does not end, and a crowd that says nothing, can be seen and cut off.
"""

from __future__ import annotations

import os
import socket as network
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from operator import itemgetter
from termios import FIONREAD

import zmq
from zmq.utils.monitor import parse_monitor_message

from p2pgan.protocol.ids import PeerId
from p2pgan.transport.sockets import Socket

CHECK_EVERY_S = 0.2
MOST_SILENT = 128
"""Connections without a whole message yet, beside two for each peer in the table."""

# `tcpi_bytes_received` in Linux' struct tcp_info, which only ever grows at its end. Elsewhere the bytes are
# not to be had, and only the number of connections is bounded.
_RECEIVED = struct.Struct("@Q")
_RECEIVED_AT = 128
_TCP_INFO: int | None = getattr(network, "TCP_INFO", None)


@dataclass
class Connection:
    """One accepted connection."""

    user: PeerId | None = None
    """Who it is, once a whole message of it came."""
    progress: bool = True
    """A whole message came since the last check."""
    taken: int = 0
    """Bytes that libzmq had read from it at the first check after its last whole message."""


@dataclass(frozen=True)
class Cut:
    """Who was cut off at a check."""

    silent: int = 0
    """Connections without a whole message yet, the oldest of too many."""
    endless: tuple[PeerId | None, ...] = ()
    """Whose messages do not end; None where nothing came that tells."""


class Connections:
    """Watches one bound socket, in the thread of that socket."""

    def __init__(self, socket: Socket, longest: int, most: int) -> None:
        """``longest`` bytes may be unfinished on one connection, ``most`` on all of them together."""
        self.port = 0
        """Where the socket listens, once it is bound."""
        self._socket, self._longest, self._most = socket, longest, most
        self.monitor: Socket = socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self._open: dict[int, Connection] = {}
        """By descriptor, oldest first."""
        self._next_check = 0.0

    def heard(self, descriptor: int, user: PeerId) -> None:
        """A whole message of ``user`` came over the connection."""
        connection = self._open.setdefault(descriptor, Connection())
        connection.user, connection.progress = user, True

    def cut(self, descriptor: int) -> PeerId | None:
        """End a connection; whose it was, if that is known."""
        with self._borrowed(descriptor) as tcp:
            if tcp is not None:
                tcp.shutdown(network.SHUT_RDWR)
        connection = self._open.pop(descriptor, None)
        return connection.user if connection is not None else None

    def check(self, now: float, peers: int) -> Cut:
        """Now and then: cut off what goes too far, where ``peers`` are in the table."""
        if now < self._next_check:
            return Cut()
        self._next_check = now + CHECK_EVERY_S
        unfinished = self._measure()
        silent = [fd for fd, connection in self._open.items() if connection.user is None]
        crowd = silent[: max(0, len(silent) - MOST_SILENT - 2 * peers)]
        for fd in crowd:
            self.cut(fd)
        return Cut(len(crowd), tuple(map(self.cut, self._endless(unfinished))))

    def close(self) -> None:
        """Watch no more; to be called before the socket itself is closed."""
        self._socket.disable_monitor()
        self.monitor.close(linger=0)

    def _endless(self, unfinished: dict[int, int]) -> list[int]:
        """Connections with too much in front of them, those with most first."""
        total = sum(unfinished.values())
        endless = []
        for fd, size in sorted(unfinished.items(), key=itemgetter(1), reverse=True):
            crowded = total > self._most and size > self._longest // 4
            if size <= self._longest and not crowded:
                break
            total -= size
            endless.append(fd)
        return endless

    def read_news(self) -> None:
        """Note the connections that were accepted; to be called when the monitor is readable."""
        while self.monitor.poll(0):
            accepted = int(parse_monitor_message(self.monitor.recv_multipart())["value"])
            self._open.pop(accepted, None)  # of a connection that has ended
            self._open[accepted] = Connection()

    def _measure(self) -> dict[int, int]:
        """Bytes since the last whole message, of connections on which none came since the last check."""
        unfinished = {}
        for fd, connection in list(self._open.items()):
            with self._borrowed(fd) as tcp:
                taken = None if tcp is None else _bytes_taken(tcp)
            if taken is None:
                del self._open[fd]
            elif connection.progress:
                connection.progress, connection.taken = False, taken
            else:
                unfinished[fd] = taken - connection.taken
        return unfinished

    @contextmanager
    def _borrowed(self, descriptor: int) -> Iterator[network.socket | None]:
        """The connection's own TCP socket; None if it has ended, whatever has its number now."""
        try:
            tcp = network.socket(fileno=os.dup(descriptor))
        except OSError:
            yield None
            return
        with tcp:
            try:
                ours = tcp.getsockname()[1] == self.port and bool(tcp.getpeername())
            except (OSError, IndexError):  # without another end, or no TCP socket
                ours = False
            yield tcp if ours else None


def _bytes_taken(tcp: network.socket) -> int:
    """Bytes that libzmq has read from the connection so far; 0 where the system does not count them."""
    if _TCP_INFO is None:
        return 0
    info = tcp.getsockopt(network.IPPROTO_TCP, _TCP_INFO, 256)
    if len(info) < _RECEIVED_AT + _RECEIVED.size:  # a kernel before 4.1
        return 0
    unread = array("i", [0])
    ioctl(tcp, FIONREAD, unread)
    received: int = _RECEIVED.unpack_from(info, _RECEIVED_AT)[0]
    return received - unread[0]
