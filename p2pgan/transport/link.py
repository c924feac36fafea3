"""Everything a transport holds for one peer: the sockets towards it and both ends of the bulk channel."""

from __future__ import annotations

from collections import Counter, deque

import zmq
from zmq.utils.monitor import parse_monitor_message

from p2pgan.protocol.ids import PeerId
from p2pgan.transport import sockets
from p2pgan.transport.arrivals import PeerAddress
from p2pgan.transport.codec import encode
from p2pgan.transport.curve import Keys
from p2pgan.transport.inbound import Inbound
from p2pgan.transport.limits import BulkLimits
from p2pgan.transport.meter import Meter
from p2pgan.transport.outbound import Outbound
from p2pgan.transport.placed_in import PlacedIn
from p2pgan.transport.placed_out import PlacedOut
from p2pgan.transport.shared_memory import SharedMemory
from p2pgan.transport.sockets import Socket
from p2pgan.transport.tally import Tally

MAX_WAITING_MESSAGES = 128
"""Messages for a peer that is not connected; then the oldest give way, since the newest say more."""
KNOCK_EVERY_S = 1.0
"""At most so often a peer's knock makes us redial, so that two peers do not redial each other forever."""
REDIAL_S = 15.0
"""libzmq gives up for good on a server that broke the protocol, so a link that stays down is made anew."""
FRAMES_PER_TURN = 2
"""Frames to one peer before the next peer has its turn."""


class Link:
    """One allowed peer, as the transport's thread sees it."""

    def __init__(
        self,
        context: zmq.Context[Socket],
        poller: zmq.Poller,
        keys: Keys,
        limits: BulkLimits,
        tally: Counter[Tally],
        meter: Meter,
        memory: SharedMemory,
        peer: PeerId,
        address: PeerAddress,
        now: float,
    ) -> None:
        self.peer = peer
        self.address = address
        self.outbound = Outbound(limits, tally, meter)
        self.placed_out = PlacedOut(peer, memory, self.outbound, tally)
        self.placed_out.near = memory.is_near(address)
        self.placed_in = PlacedIn(peer, limits, tally, memory.tell)
        self._memory = memory
        self.inbound: Inbound | None = None
        self.bulk_monitor: Socket | None = None
        """Readable when the bulk connection to this peer has ended."""
        self._context = context
        self._poller = poller
        self._keys = keys
        self._limits = limits
        self._tally = tally
        self._waiting: deque[bytes] = deque()
        self._bulk: Socket | None = None
        self.connected = False
        """Whether the present control connection got through its handshake."""
        self.visited = False
        """Whether the peer has ever dialled us and been let in."""
        self._dial_control()
        self._moved_at = now
        """When libzmq last took a message, or had none to take."""
        self._knocked_at = now - KNOCK_EVERY_S

    def redial(self, address: PeerAddress, now: float) -> None:
        """Go on with the peer at another address; what waits for it stays."""
        self.address = address
        self._redial_control(now)
        self.placed_out.near = self._memory.is_near(address)
        self.hang_up_bulk(now)

    def knocked(self, now: float) -> None:
        """The peer has just connected to us: if it turned us away before, now it lets us in."""
        self.visited = True
        if self._waiting and now >= self._knocked_at + KNOCK_EVERY_S:
            self._knocked_at = now
            self._redial_control(now)

    def post(self, message: bytes, now: float) -> None:
        """Send an encoded message as soon as there is a connection."""
        if len(self._waiting) == MAX_WAITING_MESSAGES:
            self._waiting.popleft()
            self._tally[Tally.QUEUE_FULL] += 1
        if not self._waiting:
            self._moved_at = now
        self._waiting.append(message)
        self.flush(now)

    def flush(self, now: float) -> None:
        """Hand libzmq what it takes; the poller reports when it takes more."""
        while self._waiting:
            try:
                self.control.send(self._waiting[0], zmq.NOBLOCK)
            except zmq.Again:
                self._poller.register(self.control, zmq.POLLOUT)
                return
            sent = self._waiting.popleft()
            self._moved_at = now
            self._tally[Tally.MESSAGES_SENT] += 1
            self._tally[Tally.MESSAGE_BYTES_SENT] += len(sent)
        if self.control in self._poller:
            self._poller.unregister(self.control)

    def dial_bulk(self, key_id: bytes) -> None:
        """Open the one bulk connection that the accepted key admits."""
        self._bulk = sockets.bulk_dealer(self._context, self._limits, key_id)
        self.bulk_monitor = sockets.connect_bulk(self._bulk, self.address.bulk)
        self._poller.register(self.bulk_monitor, zmq.POLLIN)

    def pump(self, now: float) -> bool:
        """Do what is due: send an offer or a few sealed frames; true if more could go at once."""
        if self._waiting and now >= self._moved_at + REDIAL_S:
            self._redial_control(now)
        self._pump_shared(now)
        offer = self.outbound.offer(now)
        if offer is not None:
            self.post(encode(offer), now)
        if self._bulk is None:
            return False
        if self.outbound.over(now):
            self.hang_up_bulk(now)
            return False
        for _ in range(FRAMES_PER_TURN):
            frame = self.outbound.next_frame(now)
            if frame is None:
                return False
            try:
                self._bulk.send(frame, zmq.NOBLOCK, copy=False)
            except zmq.Again:  # libzmq has noticed that the connection ended before we have
                self.hang_up_bulk(now)
                return False
            self._tally[Tally.FRAME_BYTES_SENT] += len(frame)
        return True

    def _pump_shared(self, now: float) -> None:
        """Say what is due about shared memory: an offer, blobs that were placed, blobs that are read."""
        if self.placed_out.stalled(now):
            self.placed_out.interrupted(now)
        offer = None if self._waiting else self.placed_out.offer(now)
        for news in (offer, self.placed_out.place(now), self.placed_in.news(now)):
            if news is not None:
                self.post(encode(news), now)

    def hang_up_bulk(self, now: float) -> None:
        """Close the bulk connection and its key with it; what it did not deliver goes again."""
        if self._bulk is not None and self.bulk_monitor is not None:
            self._close_monitored(self._bulk, self.bulk_monitor, linger_ms=0)
            self._bulk = self.bulk_monitor = None
            self._tally[Tally.REKEYED] += 1
        self.outbound.interrupted(now)

    def close(self, now: float, linger_ms: int) -> None:
        """Close all sockets; messages already handed to libzmq have ``linger_ms`` to leave."""
        self.hang_up_bulk(now)
        self._stop_sharing(now)
        self._close_control(linger_ms)

    def control_ended(self, now: float) -> bool:
        """Whether a control connection to the peer has ended; to be called when its monitor is readable.

        One that was refused, or not answered in time, was none.
        """
        ended = False
        while self.control_monitor.poll(0):
            news = parse_monitor_message(self.control_monitor.recv_multipart())["event"]
            ended |= self.connected and news == zmq.EVENT_DISCONNECTED
            self.connected = news == zmq.EVENT_HANDSHAKE_SUCCEEDED
        if ended:
            self.placed_out.interrupted(now)
            self.placed_in.tell_again(now)
        return ended

    def _redial_control(self, now: float) -> None:
        self.placed_out.interrupted(now)
        self._close_control(linger_ms=0)
        self._dial_control()
        self._moved_at = now
        self.flush(now)

    def _dial_control(self) -> None:
        self.control = sockets.control_dealer(self._context, self._keys, self.peer)
        self.control_monitor = sockets.connect_control(self.control, self.address.control)
        """Readable when there is news of a connection; libzmq dials again by itself."""
        self.connected = False
        self._poller.register(self.control_monitor, zmq.POLLIN)

    def _stop_sharing(self, now: float) -> None:
        self.placed_out.interrupted(now)
        self.placed_in.close()

    def _close_control(self, linger_ms: int) -> None:
        if self.control in self._poller:
            self._poller.unregister(self.control)
        self._close_monitored(self.control, self.control_monitor, linger_ms)

    def _close_monitored(self, socket: Socket, monitor: Socket, linger_ms: int) -> None:
        self._poller.unregister(monitor)
        socket.disable_monitor()
        monitor.close(linger=0)
        socket.close(linger=linger_ms)
