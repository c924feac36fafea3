"""What the attacks share: an honest pair, one hostile peer that is registered, and what must hold after."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

from p2pgan.transport import MessageArrived, PeerAddress
from p2pgan.transport.keying import SealOffer
from tests.contract.transport.parties import PATIENCE_S, Party, RawPeer, note

_PAGE = os.sysconf("SC_PAGE_SIZE")


def still_serves(target: Party, honest: Party, number: int = 77) -> None:
    """An honest peer's message gets through, and nothing else arrived before it."""
    honest.transport.send(target.id, note(number))
    assert target.next_message() == MessageArrived(honest.id, note(number))
    assert target.arrived_so_far() == []


def acquaint(target: Party, honest: Party, *hostile: RawPeer) -> None:
    """``target`` and ``honest`` know each other and are in touch; ``target`` knows the hostile ones."""
    target.know(honest, *hostile)
    honest.know(target)
    still_serves(target, honest)


def offer(number: int = 0) -> SealOffer:
    return SealOffer(key_id=bytes([number]) * 16, key=os.urandom(32))


def resident_bytes() -> int:
    """Memory of this process that is really there."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def endpoint(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host, int(port)


class Recorder:
    """Stands between a dialer and a listener, passes everything on, and keeps what the dialer said."""

    def __init__(self, target: str) -> None:
        self._target = endpoint(target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._recordings: list[bytearray] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def said(self) -> bytes:
        """The longest speech of any one connection."""
        return bytes(max(self._recordings, key=len))

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return  # closed
            upstream = socket.create_connection(self._target)
            self._recordings.append(bytearray())
            for source, sink, kept in ((client, upstream, self._recordings[-1]), (upstream, client, None)):
                threading.Thread(target=_copy, args=(source, sink, kept), daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those there are end with the peers."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def _copy(source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
    with suppress(OSError):  # the other side has hung up
        while data := source.recv(65536):
            if kept is not None:
                kept += data
            sink.sendall(data)
    with suppress(OSError):  # has ended already
        sink.shutdown(socket.SHUT_WR)
    source.close()


def replay(target: str, data: bytes) -> socket.socket:
    """Say on a new connection, which stays open, what was said on another."""
    connection = socket.create_connection(endpoint(target), timeout=PATIENCE_S)
    with suppress(ConnectionError):  # it hung up in the middle
        connection.sendall(data)
    return connection


def hung_up(connection: socket.socket) -> None:
    """Wait until the other side ends the connection."""
    with connection, suppress(ConnectionError):
        while connection.recv(65536):
            pass


def through(recorders: tuple[Recorder, Recorder]) -> PeerAddress:
    """The address of a peer that is dialled through recorders."""
    return PeerAddress(recorders[0].address, recorders[1].address)
