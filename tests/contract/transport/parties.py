"""Transports on the loopback, and a raw peer that speaks docs/wire.md by hand and breaks it at will."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import blake3
import zmq
from zmq.utils.monitor import recv_monitor_message

from p2pgan.protocol.events import LinkEnded
from p2pgan.protocol.messages import BlobHeader, BlobKind, Leaving
from p2pgan.transport import (
    Arrival,
    BlobArrived,
    BulkLimits,
    Keys,
    MessageArrived,
    PeerAddress,
    SharingFailed,
    StrangerSeen,
    Tally,
    Transport,
    codec,
    new_keys,
)
from p2pgan.transport.keying import Keying, SealAccepted, SealOffer

BESIDE = StrangerSeen | LinkEnded | SharingFailed
"""Arrivals that come beside what a test waits for."""
PATIENCE_S = 90.0
PATIENCE_MS = 90_000


def note(number: int = 0) -> Leaving:
    """A small message that a test can tell from others."""
    return Leaving(run="r", term=number)


def header_of(payload: bytes, index: int = 0) -> BlobHeader:
    return BlobHeader(
        run="r",
        term=1,
        kind=BlobKind.SLICE,
        round=1,
        attempt=0,
        index=index,
        codec="fp32",
        length=len(payload),
        digest=blake3.blake3(payload).hexdigest(),
    )


class Party:
    """A transport with its arrivals in a queue."""

    def __init__(
        self, keys: Keys | None = None, address: PeerAddress | None = None, limits: BulkLimits | None = None
    ) -> None:
        self.keys = keys or new_keys()
        self.arrivals: queue.Queue[Arrival] = queue.Queue()
        ports = [int(e.rpartition(":")[2]) for e in (address.control, address.bulk)] if address else [0, 0]
        self.transport = Transport(
            self.keys, deliver=self.arrivals.put, control_port=ports[0], bulk_port=ports[1], limits=limits
        )
        self.address = self.transport.start()

    @property
    def id(self) -> str:
        return self.keys.public

    def know(self, *others: Party | RawPeer) -> None:
        self.transport.set_peers({other.id: other.address for other in others})

    def next(self) -> Arrival:
        return self.arrivals.get(timeout=PATIENCE_S)

    def next_message(self) -> MessageArrived:
        """The next arrival, which must be a message; what is told of connections is passed over."""
        while isinstance(arrival := self.next(), BESIDE):
            pass
        assert isinstance(arrival, MessageArrived)
        return arrival

    def next_blob(self) -> BlobArrived:
        while isinstance(arrival := self.next(), BESIDE):
            pass
        assert isinstance(arrival, BlobArrived)
        return arrival

    def arrived_so_far(self) -> list[Arrival]:
        """What arrived from peers and was not looked at yet."""
        arrived: list[Arrival] = []
        while not self.arrivals.empty():
            arrival = self.arrivals.get_nowait()
            if not isinstance(arrival, BESIDE):
                arrived.append(arrival)
        return arrived

    def send_blob(self, to: Party, payload: bytes, index: int = 0) -> None:
        self.transport.send_blob(to.id, header_of(payload, index), payload)

    def count(self, name: Tally) -> int:
        return self.transport.counters().get(name, 0)

    def wait_for_count(self, name: Tally, at_least: int = 1) -> None:
        wait_until(lambda: self.count(name) >= at_least, f"{name} >= {at_least}")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as ``condition`` holds; counters have no queue to wait on."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        pause.wait(0.005)


class RawPeer:
    """A peer made of bare sockets. Its key may be allowed or not; what it sends is up to the test."""

    def __init__(self) -> None:
        self.keys = new_keys()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._dealers: list[zmq.Socket[bytes]] = []
        """Kept until the end: a socket that is forgotten is closed."""
        self.router = self.context.socket(zmq.ROUTER)
        self.router.curve_server = True
        self.router.curve_secretkey = self.keys.secret.encode()
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.address = PeerAddress(f"tcp://127.0.0.1:{port}", "tcp://127.0.0.1:9")

    @property
    def id(self) -> str:
        return self.keys.public

    def dealer(self) -> zmq.Socket[bytes]:
        """A dealer without any security, not yet connected."""
        dealer = self.context.socket(zmq.DEALER)
        self._dealers.append(dealer)
        dealer.linger = 0
        dealer.reconnect_ivl = 50
        return dealer

    def control_to(
        self, party: Party, server_key: str | None = None, handshake_ms: int = PATIENCE_MS
    ) -> zmq.Socket[bytes]:
        """A dealer to the party's control port. A refused handshake is silent and ends by its timer."""
        dealer = self.dealer()
        dealer.handshake_ivl = handshake_ms
        dealer.curve_serverkey = (server_key or party.id).encode()
        dealer.curve_publickey = self.keys.public.encode()
        dealer.curve_secretkey = self.keys.secret.encode()
        dealer.connect(party.address.control)
        return dealer

    def bulk_to(self, party: Party, key_id: bytes) -> zmq.Socket[bytes]:
        dealer = self.dealer()
        dealer.plain_username = b"p2pgan"
        dealer.plain_password = key_id.hex().encode()
        dealer.connect(party.address.bulk)
        return dealer

    def receive(self, kind: type[Keying]) -> Keying:
        """The next message to this peer of the given type."""
        while True:
            assert self.router.poll(PATIENCE_MS), f"no {kind.__name__}"
            message = codec.decode(self.router.recv_multipart()[1])
            if isinstance(message, kind):
                return message

    def agree(self, control: zmq.Socket[bytes], offer: SealOffer) -> None:
        """Offer a key and wait until it is accepted."""
        control.send(codec.encode(offer))
        assert self.receive(SealAccepted) == SealAccepted(offer.key_id)

    def close(self) -> None:
        self.context.destroy(linger=0)


def wait_for_event(socket: zmq.Socket[bytes], start: Callable[[], object], *events: int) -> None:
    """Run ``start`` and wait until libzmq reports one of ``events`` on ``socket``."""
    monitor = socket.get_monitor_socket()
    try:
        start()
        while True:
            assert monitor.poll(PATIENCE_MS), "no such event"
            if recv_monitor_message(monitor)["event"] in events:
                return
    finally:
        socket.disable_monitor()
        monitor.close(linger=0)
