"""The transport: messages and blobs to and from the peers in the table, over ZeroMQ."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType

from p2pgan.errors import InternalError
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import AnyMessage, BlobHeader
from p2pgan.protocol.metrics import Traffic
from p2pgan.transport.arrivals import Arrival, PeerAddress, Ways
from p2pgan.transport.codec import encode
from p2pgan.transport.curve import Keys
from p2pgan.transport.limits import BulkLimits
from p2pgan.transport.plane import Plane
from p2pgan.transport.tally import Tally

JOIN_S = 10.0
"""The thread ends within a second unless a ``deliver`` call holds it."""


class Transport:
    """Speaks with all peers of a run; every method may be called from any thread, and none blocks.

    ``deliver`` is called from the transport's own thread, for one arrival after the other; it must
    return at once (put the arrival into a queue) and must not raise. Messages and blobs to one peer
    are queued within bounds and may be lost; nothing waits for a peer. ``send`` and ``send_blob``
    raise InternalError once the thread has died of a defect, and do nothing after ``close``.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        deliver: Callable[[Arrival], None],
        bind_host: str = "127.0.0.1",
        advertise_host: str | None = None,
        control_port: int = 0,
        bulk_port: int = 0,
        limits: BulkLimits | None = None,
    ) -> None:
        self._keys = keys
        self._deliver = deliver
        self._bind = (bind_host, advertise_host, control_port, bulk_port)
        self._limits = limits or BulkLimits()
        self._lock = threading.Lock()
        self._commands: deque[Callable[[], None]] = deque()
        self._plane: Plane | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failure: Exception | None = None
        self._wakers: tuple[socket.socket, ...] = ()

    def start(self) -> PeerAddress:
        """Listen, start the thread, and return what other peers dial (port 0 means any free port).

        Raises:
            ConfigError: a port is taken, or the address is not this machine's.
        """
        if self._thread is not None or self._closed:
            raise InternalError("a transport starts once")
        plane = Plane(self._keys, self._deliver, self._limits)
        try:
            address = plane.bind(*self._bind)
        except BaseException:
            plane.close()
            raise
        self._plane = plane
        self._wakers = socket.socketpair()
        for end in self._wakers:
            end.setblocking(False)
        self._thread = threading.Thread(
            target=self._run, args=(plane, self._wakers[1]), name="transport", daemon=True
        )
        self._thread.start()
        return address

    def set_peers(self, peers: Mapping[PeerId, PeerAddress]) -> None:
        """The whole table: who may speak, and where to dial. Who is not in it is cut off at once."""
        plane = self._started()
        self._submit(partial(plane.set_peers, dict(peers)))

    def send(self, peer: PeerId, message: AnyMessage) -> None:
        """Send ``message`` as soon as ``peer`` is connected; the oldest of too many waiting are dropped."""
        plane = self._started()
        self._submit(partial(plane.send, peer, encode(message)))

    def send_blob(self, peer: PeerId, header: BlobHeader, payload: bytes | bytearray | memoryview) -> None:
        """Send ``payload``, which must have the length and digest that ``header`` says.

        The payload is not copied: it belongs to the transport from now on and must not change. The
        same payload may be sent to several peers. A blob whose connection breaks is sent again, so
        it may arrive twice.
        """
        plane = self._started()
        view = memoryview(payload).cast("B").toreadonly()
        if len(view) != header.length:
            raise InternalError(f"a payload of {len(view)} bytes under a header that says {header.length}")
        self._submit(partial(plane.send_blob, peer, header, view))

    def allocate(self, size: int) -> memoryview:
        """Memory to write a payload into that is to be sent: one that lies there need not be copied to peers
        of this machine. As with all payloads, what was sent must not change."""
        return self._started().memory.allocate(size)

    def counters(self) -> dict[str, int]:
        """What was sent, received and dropped so far, by the names in :class:`Tally`."""
        return {str(name): count for name, count in self._started().tally.copy().items()}

    def traffic(self) -> Traffic:
        """Bytes of messages and sealed frames so far."""
        tally = self._started().tally.copy()
        return Traffic(
            tally[Tally.MESSAGE_BYTES_SENT] + tally[Tally.FRAME_BYTES_SENT],
            tally[Tally.MESSAGE_BYTES_RECEIVED] + tally[Tally.FRAME_BYTES_RECEIVED],
        )

    def offences(self) -> dict[PeerId, int]:
        """How often each peer sent what no peer may send and was refused; nobody who sent nothing of it."""
        return dict(self._started().offences.copy())

    def bytes_held(self, peer: PeerId) -> int:
        """Payload bytes on their way to ``peer``, until it has acknowledged them."""
        return self._started().bytes_held(peer)

    def ways(self) -> Ways:
        """Whom this peer can dial, and who can dial it."""
        return self._started().ways()

    def uplink(self) -> float:
        """Bytes per second that this peer could send of late, to all together; 0 before it was measured."""
        return self._started().meter.bytes_per_s

    def close(self) -> None:
        """Stop the thread and close all sockets; messages already sent have a moment to leave.

        May be called again, but not from within ``deliver``.

        Raises:
            InternalError: the thread died of a defect, or hangs in ``deliver``.
        """
        with self._lock:
            self._closed = True
            if self._plane is not None:
                self._commands.append(self._plane.stop)
                self._wake()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            if self._thread.is_alive():
                raise InternalError("the transport's thread does not end: a deliver call holds it")
        with self._lock:
            for end in self._wakers:
                end.close()
            self._wakers = ()
        self._raise_failure()

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> Plane:
        if self._plane is None:
            raise InternalError("the transport has not been started")
        return self._plane

    def _submit(self, command: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                return
            self._raise_failure()
            idle = not self._commands  # else the thread is about to take what is there, and this with it
            self._commands.append(command)
            if idle:
                self._wake()

    def _wake(self) -> None:
        for end in self._wakers[:1]:
            with suppress(BlockingIOError):  # full: the thread has enough reasons to wake up
                end.send(b"\0")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise InternalError(f"the transport's thread died: {self._failure!r}") from self._failure

    def _run(self, plane: Plane, waker: socket.socket) -> None:
        try:
            plane.run(waker.fileno(), partial(self._obey, waker))
        except Exception as error:  # kept for the owner: the next call raises it
            self._failure = error
        finally:
            plane.close()

    def _obey(self, waker: socket.socket) -> None:
        with suppress(BlockingIOError):
            while waker.recv(4096):
                pass
        while self._commands:
            self._commands.popleft()()
