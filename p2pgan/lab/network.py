"""The network of a lab: every link between peers, and from each peer to the database, through a proxy.

Each peer listens on one loopback address and is dialled at another one, where the proxy listens. Who
dials is found by asking the operating system which process has the other end.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

import psutil

from p2pgan.errors import ConfigError
from p2pgan.lab.proxy import Address, Condition, Proxy
from p2pgan.rendezvous.dsn import redirected, tcp_address

LOOPBACK = "127.0.0.1"
DATABASE = "the database"
STRANGER = "a stranger"
"""Any process that is no peer of the lab."""
PORT_TRIES = 20
"""A peer needs two ports in a row; another process may have the second one."""


def check_network() -> None:
    """Raises ConfigError if this is not Linux, where all of 127.0.0.0/8 is this machine."""
    if not sys.platform.startswith("linux"):
        raise ConfigError("faults of the network need Linux: other systems have one loopback address")


class LabNetwork:
    """Addresses for the peers of a lab, and the condition of every link between them.

    ``processes`` gives the process id of each peer that runs. Raises ConfigError for a DSN that does
    not name one host reached by TCP.
    """

    def __init__(self, dsn: str, processes: Callable[[], Mapping[str, int]]) -> None:
        self._processes = processes
        self._proxy = Proxy(self._who_dials)
        self._direct_dsn, self._database = dsn, tcp_address(dsn)
        self._database_port = 0
        self._addresses: dict[str, tuple[str, str, int]] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._proxy)
        self._database_port = self._proxy.forward(DATABASE, (LOOPBACK, 0), self._database)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def dsn(self) -> str:
        """The way to the database that a peer takes."""
        return redirected(self._direct_dsn, LOOPBACK, self._database_port)

    def arguments(self, name: str) -> tuple[str, ...]:
        """What the peer ``name`` is told about its addresses; the same whenever it starts."""
        if name not in self._addresses:
            number = len(self._addresses) + 1
            self._addresses[name] = self._listen(name, f"127.1.0.{number}", f"127.2.0.{number}")
        inner, outer, port = self._addresses[name]
        return ("--bind", inner, "--advertise", outer, "--port", str(port))

    def set(
        self, sources: Iterable[str], targets: Iterable[str], condition: Condition, *, both_ways: bool
    ) -> None:
        """Put every link between two sets of peers into a condition."""
        links = {(source, to) for source in sources for to in targets if source != to}
        self._proxy.set(links | ({(to, source) for source, to in links} if both_ways else set()), condition)

    def mend(self) -> None:
        """Every link carries as well as loopback does."""
        self._proxy.mend()

    def _listen(self, name: str, inner: str, outer: str) -> tuple[str, str, int]:
        """The addresses, and the first of two ports in a row, on which the proxy listens for ``name``."""
        for _ in range(PORT_TRIES):
            with socket.socket() as probe:
                probe.bind((outer, 0))
                port: int = probe.getsockname()[1]
            with suppress(OSError):
                self._proxy.forward(name, (outer, port + 1), (inner, port + 1))
                self._proxy.forward(name, (outer, port), (inner, port))
                return inner, outer, port
        raise ConfigError(f"there are no two free ports in a row on {outer}")

    def _who_dials(self, address: Address) -> str:
        names = {pid: name for name, pid in self._processes().items()}
        for connection in psutil.net_connections("tcp4"):
            if connection.laddr and tuple(connection.laddr) == address and connection.pid in names:
                return names[connection.pid]
        return STRANGER
