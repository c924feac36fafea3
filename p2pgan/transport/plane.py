"""The transport's thread: all sockets live here, and nothing here blocks but the poll."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

import zmq

from p2pgan.protocol.events import LinkEnded
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import BlobHeader
from p2pgan.transport import codec, sockets, zap
from p2pgan.transport.arrivals import Arrival, MessageArrived, PeerAddress, StrangerSeen, Ways
from p2pgan.transport.curve import Keys
from p2pgan.transport.door import Door
from p2pgan.transport.inbound import Inbound
from p2pgan.transport.keying import Credit, SealAccepted, SealOffer
from p2pgan.transport.limits import FRAME_BYTES, BulkLimits
from p2pgan.transport.link import Link
from p2pgan.transport.meter import Meter
from p2pgan.transport.outbound import Blob
from p2pgan.transport.seal import parse_header
from p2pgan.transport.shared_memory import SharedMemory
from p2pgan.transport.sharing import ArenaAnswer, ArenaOffer, BlobsHeld, BlobsPlaced
from p2pgan.transport.sockets import Socket
from p2pgan.transport.tally import OFFENCES, Refused, Tally

TICK_MS = 100
"""Longest sleep: offers, retries and the stall clock move on at this pace."""
MESSAGES_PER_TURN = 64
FRAMES_PER_TURN = 8
CLOSE_LINGER_MS = 300
STRANGER_EVERY_S = 1.0
BAR_S = 60.0
"""Who sent a message without an end is not let in for so long."""
MOST_CONTROL_UNFINISHED = 4 * codec.MAX_MESSAGE_BYTES
MOST_BULK_UNFINISHED = 8 * FRAME_BYTES
"""Bytes of messages that have not ended, per connection: more than libzmq queues of whole messages."""


class Plane:
    """The sockets and the state of one transport. Bound by its maker, then used by one thread alone."""

    def __init__(self, keys: Keys, deliver: Callable[[Arrival], None], limits: BulkLimits) -> None:
        self.tally: Counter[Tally] = Counter()
        self.meter = Meter()
        self.offences: Counter[PeerId] = Counter()
        """What each peer sent that was refused; see ``tally.OFFENCES``."""
        self._barred: dict[PeerId, float] = {}
        """Until when a peer is kept out."""
        self._keys = keys
        self._deliver = deliver
        self._limits = limits
        self.memory = SharedMemory(keys.public, limits.max_shared_bytes, self.tally, deliver)
        self._links: dict[PeerId, Link] = {}
        """One for each allowed peer: this is the allow-list."""
        self._inbound: dict[bytes, Inbound] = {}
        """Live keys for frames to us, by key id."""
        self._heard: set[Inbound] = set()
        """Who sent frames in this turn."""
        self._stopping = False
        self._stranger_at = 0.0
        self._context: zmq.Context[Socket] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 16_384)
        self._poller = zmq.Poller()
        self._gate = sockets.gate(self._context)
        most = MOST_CONTROL_UNFINISHED
        control, bulk = sockets.control_router(self._context, keys), sockets.bulk_router(self._context)
        self._control = Door(control, most, 4 * most, self.tally)
        self._bulk = Door(bulk, MOST_BULK_UNFINISHED, 8 * MOST_BULK_UNFINISHED, self.tally)
        for socket in (self._gate, control, bulk, self._control.monitor, self._bulk.monitor):
            self._poller.register(socket, zmq.POLLIN)

    def bind(self, host: str, advertise_host: str | None, control_port: int, bulk_port: int) -> PeerAddress:
        """Listen on both ports and say where others dial.

        Raises:
            ConfigError: a port is taken, or the address is not this machine's.
        """
        told = sockets.advertised(host, advertise_host)
        self.memory.host = told
        control, bulk = self._control.bind(host, control_port), self._bulk.bind(host, bulk_port)
        return PeerAddress(f"tcp://{told}:{control}", f"tcp://{told}:{bulk}")

    def run(self, wake: int, obey: Callable[[], None]) -> None:
        """Serve until :meth:`stop`; ``obey`` runs the owner's commands when ``wake`` is readable."""
        self._poller.register(wake, zmq.POLLIN)
        more = False
        while not self._stopping:
            ready = dict(self._poller.poll(0 if more else TICK_MS))
            if wake in ready:
                obey()
            self._serve(ready)
            more = self._pump()

    def close(self) -> None:
        """Close every socket; takes at most ``CLOSE_LINGER_MS`` where messages still have to leave."""
        now = time.monotonic()
        for link in self._links.values():
            link.close(now, CLOSE_LINGER_MS)
        self._links.clear()
        self._control.close()
        self._bulk.close()
        self._gate.close(linger=0)
        self._context.term()

    def ways(self) -> Ways:
        """Who is connected how; may be asked from any thread."""
        links = self._links.copy().items()
        return Ways(
            frozenset(peer for peer, link in links if link.connected),
            frozenset(peer for peer, link in links if link.visited),
        )

    # Commands of the owner, run by ``obey``.

    def stop(self) -> None:
        self._stopping = True

    def set_peers(self, peers: Mapping[PeerId, PeerAddress]) -> None:
        now = time.monotonic()
        wanted = {peer: address for peer, address in peers.items() if self._usable(peer, address)}
        for peer in self._links.keys() - wanted.keys():
            link = self._links.pop(peer)
            self._forget_inbound(link)
            link.close(now, linger_ms=0)
        for peer, address in wanted.items():
            known = self._links.get(peer)
            if known is None:
                self._links[peer] = Link(
                    self._context, self._poller, self._keys, self._limits, self.tally, self.meter,
                    self.memory, peer, address, now,
                )  # fmt: skip
            elif known.address != address:
                known.redial(address, now)

    def send(self, peer: PeerId, message: bytes) -> None:
        link = self._links.get(peer)
        if link is None:
            self.tally[Tally.UNKNOWN_PEER] += 1
        else:
            link.post(message, time.monotonic())

    def send_blob(self, peer: PeerId, header: BlobHeader, payload: memoryview) -> None:
        link = self._links.get(peer)
        if link is None:
            self.tally[Tally.UNKNOWN_PEER] += 1
        else:
            link.outbound.put(Blob(header, payload), time.monotonic())

    def bytes_held(self, peer: PeerId) -> int:
        """Payload bytes kept for a peer; may be called from any thread."""
        link = self._links.get(peer)
        return 0 if link is None else link.outbound.bytes_held

    # One turn of the loop.

    def _serve(self, ready: Mapping[object, int]) -> None:
        if self._gate in ready:
            self._gate.send_multipart(
                zap.answer(self._gate.recv_multipart(), self._admit_key, self._admit_bulk)
            )
        for door in (self._control, self._bulk):
            if door.monitor in ready:
                door.read_news()
        if self._control.socket in ready:
            self._drain(self._control, MESSAGES_PER_TURN, self._on_message)
        if self._bulk.socket in ready:
            self._drain(self._bulk, FRAMES_PER_TURN, self._on_frame)
            self._give_credit()
        now = time.monotonic()
        for door in (self._control, self._bulk):
            for offender in door.offenders(now, len(self._links)):
                self.offences[offender] += 1
                self._barred[offender] = now + BAR_S
        for link in self._links.values():
            if link.control in ready:
                link.flush(now)
            if link.bulk_monitor is not None and link.bulk_monitor in ready:
                link.hang_up_bulk(now)
            if link.control_monitor in ready and link.control_ended(now):
                self._deliver(LinkEnded(link.peer))

    def _drain(self, door: Door, limit: int, handle: Callable[[PeerId, memoryview], None]) -> None:
        for _ in range(limit):
            letter = door.receive()
            if letter is None:
                return
            try:
                if self._is_barred(letter.sender):
                    raise Refused(Tally.BARRED, "a message of a peer that was cut off")
                if not letter.whole:
                    raise Refused(Tally.MALFORMED, "several frames where there is one")
                handle(letter.sender, letter.body)
            except Refused as refused:
                self.tally[refused.reason] += 1
                if refused.reason in OFFENCES:
                    self.offences[letter.sender] += 1

    def _pump(self) -> bool:
        now = time.monotonic()
        more = False
        for link in self._links.values():
            more |= link.pump(now)
        return more

    # What others send.

    def _on_message(self, sender: PeerId, data: memoryview) -> None:
        link = self._links.get(sender)
        if link is None:
            raise Refused(Tally.REVOKED, "a message under a revoked key")
        self.tally[Tally.MESSAGE_BYTES_RECEIVED] += len(data)
        message = codec.decode(data)
        match message:
            case SealOffer():
                self._on_offer(link, message)
            case SealAccepted():
                if link.outbound.accepted(message.key_id, len(self._links), time.monotonic()):
                    link.dial_bulk(message.key_id)
            case Credit():
                link.outbound.credit(message, time.monotonic())
            case ArenaOffer():
                now = time.monotonic()
                link.post(codec.encode(link.placed_in.offered(message, now)), now)
            case ArenaAnswer():
                link.placed_out.answered(message, time.monotonic())
            case BlobsPlaced():
                self._on_placed(link, message)
            case BlobsHeld():
                link.placed_out.held(message, time.monotonic())
            case _:
                self.tally[Tally.MESSAGES_RECEIVED] += 1
                self._deliver(MessageArrived(sender, message))

    def _on_offer(self, link: Link, offer: SealOffer) -> None:
        # A repeated offer must not start the counter again: that would let old frames pass.
        if link.inbound is None or link.inbound.key_id != offer.key_id:
            if offer.key_id in self._inbound:
                raise Refused(Tally.MALFORMED, "a key id that is another peer's")
            self._forget_inbound(link)
            link.inbound = Inbound(link.peer, offer, self._limits, self.tally)
            self._inbound[offer.key_id] = link.inbound
        link.post(codec.encode(SealAccepted(offer.key_id)), time.monotonic())

    def _on_placed(self, link: Link, message: BlobsPlaced) -> None:
        now = time.monotonic()
        blobs = link.placed_in.arrived(message, now)
        if blobs is None:
            link.post(codec.encode(ArenaAnswer(message.offer_id, False, "begin anew")), now)
            return
        self.tally[Tally.BLOBS_RECEIVED] += len(blobs)
        for blob in blobs:
            self._deliver(blob)

    def _forget_inbound(self, link: Link) -> None:
        if link.inbound is not None:
            link.inbound.abandon()
            del self._inbound[link.inbound.key_id]
            link.inbound = None

    def _on_frame(self, sender: PeerId, raw: memoryview) -> None:
        self.tally[Tally.FRAME_BYTES_RECEIVED] += len(raw)
        header = parse_header(raw)
        inbound = self._inbound.get(header.key_id)
        if inbound is None:
            raise Refused(Tally.FRAME_UNKNOWN_KEY, "a frame under no live key")
        if inbound.sender != sender:
            raise Refused(Tally.FRAME_FORGED, "a frame under another peer's key")
        self._heard.add(inbound)
        blob = inbound.receive(raw, header)
        if blob is not None:
            self.tally[Tally.BLOBS_RECEIVED] += 1
            self._deliver(blob)

    def _give_credit(self) -> None:
        """For all frames of a turn at once."""
        now = time.monotonic()
        for inbound in self._heard:
            link = self._links.get(inbound.sender)
            credit = inbound.credit(now)
            if credit is not None and link is not None:
                link.post(codec.encode(credit), now)
        self._heard.clear()

    # Who may connect.

    def _admit_key(self, key: PeerId) -> bool:
        now = time.monotonic()
        link = self._links.get(key)
        if self._is_barred(key):
            self.tally[Tally.BARRED] += 1
            return False
        if link is not None:
            link.knocked(now)
            return True
        self.tally[Tally.STRANGER_DENIED] += 1
        if now >= self._stranger_at:
            self._stranger_at = now + STRANGER_EVERY_S
            self._deliver(StrangerSeen(key))
        return False

    def _admit_bulk(self, password: bytes) -> PeerId | None:
        try:
            inbound = self._inbound.get(bytes.fromhex(password.decode("ascii")))
        except ValueError:
            inbound = None
        if inbound is None or inbound.connected or self._is_barred(inbound.sender):
            self.tally[Tally.BULK_DENIED] += 1
            return None
        inbound.connected = True
        return inbound.sender

    def _is_barred(self, peer: PeerId) -> bool:
        until = self._barred.get(peer)
        if until is not None and time.monotonic() >= until:
            del self._barred[peer]
            return False
        return until is not None

    def _usable(self, peer: PeerId, address: PeerAddress) -> bool:
        if peer == self._keys.public:
            return False
        if sockets.dialable(peer, address):
            return True
        self.tally[Tally.UNUSABLE_ADDRESS] += 1
        return False
