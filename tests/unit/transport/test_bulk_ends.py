"""Both ends of the bulk channel, joined in memory, under a clock that the test moves."""

import os
from collections import Counter

import blake3
import pytest

from p2pgan.errors import ConfigError
from p2pgan.protocol.messages import BlobHeader, BlobKind
from p2pgan.transport.arrivals import BlobArrived
from p2pgan.transport.codec import encode
from p2pgan.transport.inbound import Inbound
from p2pgan.transport.keying import Credit
from p2pgan.transport.limits import FRAME_BYTES, BulkLimits
from p2pgan.transport.meter import Meter
from p2pgan.transport.outbound import OFFER_REPEAT_S, PATIENCE_S, RETRY_S, STALL_S, Blob, Outbound, Phase
from p2pgan.transport.seal import FrameKind, Sealer, parse_header
from p2pgan.transport.tally import Refused, Tally


def blob(payload: bytes, index: int = 0, digest: str | None = None) -> Blob:
    digest = digest or blake3.blake3(payload).hexdigest()
    header = BlobHeader(
        run="r",
        term=1,
        kind=BlobKind.SLICE,
        round=1,
        attempt=0,
        index=index,
        codec="fp32",
        length=len(payload),
        digest=digest,
    )
    return Blob(header, memoryview(payload))


class Pair:
    """An outbound and the inbound that its offers make."""

    def __init__(self, limits: BulkLimits | None = None, peers: int = 1) -> None:
        self.now = 100.0
        self.peers = peers
        self.limits = limits or BulkLimits()
        self.tally: Counter[Tally] = Counter()
        self.outbound = Outbound(self.limits, self.tally, Meter())
        self.inbound: Inbound | None = None
        self.key_ids: list[bytes] = []
        self.arrived: list[BlobArrived] = []

    def agree(self) -> bool:
        """Carry a due offer over; true if it opened the way."""
        offer = self.outbound.offer(self.now)
        if offer is None:
            return False
        self.inbound = Inbound("sender", offer, self.limits, self.tally)
        self.key_ids.append(offer.key_id)
        return self.outbound.accepted(offer.key_id, self.peers, self.now)

    def take(self) -> bytes | None:
        frame = self.outbound.next_frame(self.now)
        return None if frame is None else bytes(frame)

    def receive(self, frame: bytes, credit: bool = True) -> None:
        assert self.inbound is not None
        try:
            arrived = self.inbound.receive(memoryview(frame), parse_header(memoryview(frame)))
        finally:
            given = self.inbound.credit(self.now)
            if credit and given is not None:
                self.outbound.credit(given, self.now)
        if arrived is not None:
            self.arrived.append(arrived)

    def carry_all(self) -> None:
        while (frame := self.take()) is not None:
            self.receive(frame)


def test_blobs_arrive_whole_and_in_order() -> None:
    pair = Pair()
    payloads = [os.urandom(size) for size in (0, 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES - 7)]
    for index, payload in enumerate(payloads):
        pair.outbound.put(blob(payload, index), pair.now)
    assert pair.agree()
    pair.carry_all()
    assert [bytes(arrived.payload) for arrived in pair.arrived] == payloads
    assert [arrived.header.index for arrived in pair.arrived] == [0, 1, 2, 3, 4]
    assert pair.tally[Tally.BLOBS_SENT] == 5


def test_nothing_is_offered_without_work() -> None:
    pair = Pair()
    assert pair.outbound.offer(pair.now) is None
    assert pair.outbound.next_frame(pair.now) is None


def test_an_offer_is_repeated_under_the_same_key_until_it_is_accepted() -> None:
    pair = Pair()
    pair.outbound.put(blob(b"x"), pair.now)
    first = pair.outbound.offer(pair.now)
    assert first is not None
    assert pair.outbound.offer(pair.now) is None
    pair.now += OFFER_REPEAT_S
    assert pair.outbound.offer(pair.now) == first
    assert not pair.outbound.accepted(b"o" * 16, 1, pair.now)
    assert pair.outbound.accepted(first.key_id, 1, pair.now)
    assert not pair.outbound.accepted(first.key_id, 1, pair.now)


def test_no_more_than_the_window_travels_without_credit() -> None:
    pair = Pair(BulkLimits(window_frames=3))
    pair.outbound.put(blob(os.urandom(6 * FRAME_BYTES)), pair.now)
    pair.agree()
    frames = [pair.take() for _ in range(4)]
    assert frames[3] is None
    for frame in frames[:3]:
        assert frame is not None
        pair.receive(frame, credit=False)
    assert pair.take() is None
    pair.outbound.credit(Credit(pair.key_ids[0], through=3), pair.now)
    pair.carry_all()
    assert len(pair.arrived) == 1


@pytest.mark.parametrize(("peers", "frames"), [(1, 8), (2, 8), (3, 5), (4, 4), (200, 4)])
def test_peers_share_what_is_in_flight_and_each_may_have_what_brings_credit(peers: int, frames: int) -> None:
    pair = Pair(peers=peers)
    payload = os.urandom(10 * FRAME_BYTES)
    pair.outbound.put(blob(payload), pair.now)
    pair.agree()

    in_flight = list(iter(pair.take, None))

    assert len(in_flight) == frames
    for frame in in_flight:
        pair.receive(frame)
    pair.carry_all()
    assert [bytes(each.payload) for each in pair.arrived] == [payload]


@pytest.mark.parametrize("through", [0, 4, 2**62])
def test_credit_for_nothing_or_for_frames_never_sent_is_ignored(through: int) -> None:
    pair = Pair(BulkLimits(window_frames=3))
    pair.outbound.put(blob(os.urandom(6 * FRAME_BYTES)), pair.now)
    pair.agree()
    for _ in range(3):
        pair.take()
    pair.outbound.credit(Credit(pair.key_ids[0], through), pair.now)
    assert pair.take() is None


def test_credit_of_an_earlier_key_is_ignored() -> None:
    pair = Pair(BulkLimits(window_frames=1))
    pair.outbound.put(blob(b"x"), pair.now)
    pair.agree()
    pair.take()
    pair.outbound.credit(Credit(b"o" * 16, 1), pair.now)
    assert pair.take() is None


def test_an_interrupted_blob_goes_again_from_its_start_under_a_fresh_key() -> None:
    pair = Pair()
    first, second = os.urandom(3 * FRAME_BYTES), os.urandom(10)
    pair.outbound.put(blob(first, 0), pair.now)
    pair.outbound.put(blob(second, 1), pair.now)
    pair.agree()
    for _ in range(2):
        frame = pair.take()
        assert frame is not None
        pair.receive(frame)
    pair.outbound.interrupted(pair.now)
    assert pair.outbound.offer(pair.now) is None
    pair.now += RETRY_S
    assert pair.agree()
    pair.carry_all()
    assert [bytes(arrived.payload) for arrived in pair.arrived] == [first, second]
    assert len(set(pair.key_ids)) == 2


def test_a_blob_whose_frames_were_all_sent_goes_again_if_no_credit_came() -> None:
    pair = Pair()
    payloads = [os.urandom(10), os.urandom(20)]
    for index, payload in enumerate(payloads):
        pair.outbound.put(blob(payload, index), pair.now)
    pair.agree()
    while pair.take() is not None:
        pass
    pair.outbound.interrupted(pair.now)
    pair.now += RETRY_S
    pair.agree()
    pair.carry_all()
    assert [bytes(arrived.payload) for arrived in pair.arrived] == payloads


def test_a_lost_frame_costs_its_blob_and_no_other() -> None:
    pair = Pair()
    kept = os.urandom(20)
    pair.outbound.put(blob(os.urandom(3 * FRAME_BYTES), 0), pair.now)
    pair.outbound.put(blob(kept, 1), pair.now)
    pair.agree()
    for number in range(6):
        frame = pair.take()
        assert frame is not None
        if number != 2:
            pair.receive(frame)
    assert [bytes(arrived.payload) for arrived in pair.arrived] == [kept]
    assert pair.tally[Tally.BLOB_INTERRUPTED] == 1
    assert not pair.outbound.over(pair.now + 2 * STALL_S)  # credit came for all, the lost one included


def test_a_connection_without_credit_is_given_up_and_a_slow_one_is_not() -> None:
    pair = Pair()
    pair.outbound.put(blob(os.urandom(8 * FRAME_BYTES)), pair.now)
    pair.agree()
    for _ in range(4):
        pair.now += STALL_S * 0.9
        frame = pair.take()
        assert frame is not None
        assert not pair.outbound.over(pair.now)
        pair.receive(frame)
    assert pair.take() is not None
    assert not pair.outbound.over(pair.now + STALL_S * 0.9)
    assert pair.outbound.over(pair.now + STALL_S)


def test_a_used_up_key_is_replaced_between_blobs() -> None:
    limits = BulkLimits(max_blob_bytes=2 * FRAME_BYTES, frames_per_key=5)
    pair = Pair(limits)
    payloads = [os.urandom(2 * FRAME_BYTES) for _ in range(3)]
    for index, payload in enumerate(payloads):
        pair.outbound.put(blob(payload, index), pair.now)
    while len(pair.arrived) < 3:
        assert pair.agree()
        pair.carry_all()
        if len(pair.arrived) < 3:
            assert pair.outbound.over(pair.now)
            pair.outbound.interrupted(pair.now)
            pair.now += RETRY_S
    assert [bytes(arrived.payload) for arrived in pair.arrived] == payloads
    assert len(set(pair.key_ids)) == 3


def test_a_key_must_last_for_one_blob() -> None:
    with pytest.raises(ConfigError):
        BulkLimits(max_blob_bytes=2 * FRAME_BYTES, frames_per_key=2)


def test_what_waits_too_long_for_a_silent_peer_is_dropped() -> None:
    pair = Pair()
    pair.outbound.put(blob(b"old", 0), pair.now)
    pair.outbound.offer(pair.now)
    pair.now += PATIENCE_S
    assert pair.outbound.offer(pair.now) is None
    assert pair.tally[Tally.BLOB_EXPIRED] == 1
    pair.outbound.put(blob(b"new", 1), pair.now)
    assert pair.agree()
    pair.carry_all()
    assert [bytes(arrived.payload) for arrived in pair.arrived] == [b"new"]


def test_only_what_itself_waited_too_long_is_dropped() -> None:
    pair = Pair()
    pair.outbound.put(blob(b"old", 0), pair.now)
    pair.now += PATIENCE_S - 1
    pair.outbound.put(blob(b"young", 1), pair.now)
    pair.now += 1
    assert pair.agree()
    pair.carry_all()
    assert [bytes(arrived.payload) for arrived in pair.arrived] == [b"young"]
    assert pair.tally[Tally.BLOB_EXPIRED] == 1
    assert pair.outbound.bytes_held == 0


def test_the_queue_is_bounded_and_the_oldest_give_way() -> None:
    pair = Pair(BulkLimits(max_queued_bytes=25))
    for index in range(4):
        pair.outbound.put(blob(bytes([index]) * 10, index), pair.now)
    pair.outbound.put(blob(b"x" * 26, 9), pair.now)
    assert pair.tally[Tally.QUEUE_FULL] == 5
    pair.outbound.put(blob(b"fits", 5), pair.now)
    pair.agree()
    pair.carry_all()
    assert [arrived.header.index for arrived in pair.arrived] == [5]


def test_a_blob_that_already_waits_is_not_queued_twice() -> None:
    pair = Pair()
    for _ in range(3):
        pair.outbound.put(blob(b"same"), pair.now)
    pair.agree()
    pair.carry_all()
    assert len(pair.arrived) == 1
    assert pair.tally[Tally.BLOB_REPEATED] == 2
    pair.outbound.put(blob(b"same"), pair.now)
    pair.carry_all()
    assert len(pair.arrived) == 2


def test_a_blob_that_travels_is_not_queued_again() -> None:
    pair = Pair()
    same = blob(os.urandom(2 * FRAME_BYTES))
    pair.outbound.put(same, pair.now)
    pair.agree()
    frames = []
    while (frame := pair.take()) is not None:
        frames.append(frame)
        pair.outbound.put(same, pair.now)  # asked for again: with frames to come, and with none acknowledged
    for frame in frames:
        pair.receive(frame)
    pair.carry_all()
    assert len(pair.arrived) == 1
    assert pair.tally[Tally.BLOB_REPEATED] == len(frames) == 3


def test_a_blob_over_the_limit_is_not_sent() -> None:
    pair = Pair(BulkLimits(max_blob_bytes=10))
    pair.outbound.put(blob(b"x" * 11), pair.now)
    assert pair.tally[Tally.BLOB_TOO_LONG] == 1
    assert pair.outbound.phase is Phase.IDLE
    assert pair.outbound.offer(pair.now) is None


def hostile(pair: Pair) -> Sealer:
    """A sealer under the pair's agreed key, for a sender who breaks the rules."""
    pair.outbound.put(blob(b"opens the way"), pair.now)
    offer = pair.outbound.offer(pair.now)
    assert offer is not None
    pair.inbound = Inbound("sender", offer, pair.limits, pair.tally)
    return Sealer(offer.key_id, offer.key, window=4)


def send(pair: Pair, sealer: Sealer, kind: FrameKind, plain: bytes) -> None:
    pair.receive(bytes(sealer.seal(kind, plain)))


def send_whole(pair: Pair, sealer: Sealer, payload: bytes) -> None:
    send(pair, sealer, FrameKind.BEGIN, encode(blob(payload).header))
    send(pair, sealer, FrameKind.PART, payload)


def test_a_receiver_refuses_a_blob_over_its_limit_and_takes_the_next() -> None:
    pair = Pair(BulkLimits(max_blob_bytes=100))
    sealer = hostile(pair)
    with pytest.raises(Refused) as caught:
        send(pair, sealer, FrameKind.BEGIN, encode(blob(b"x" * 101).header))
    assert caught.value.reason is Tally.BLOB_TOO_LONG
    send(pair, sealer, FrameKind.PART, b"x" * 101)
    assert pair.inbound is not None and pair.inbound.credit(pair.now) is None  # credit was given for both
    send_whole(pair, sealer, b"good")
    assert [bytes(arrived.payload) for arrived in pair.arrived] == [b"good"]


def test_a_blob_with_another_digest_is_refused() -> None:
    pair = Pair()
    sealer = hostile(pair)
    send(pair, sealer, FrameKind.BEGIN, encode(blob(b"evil", digest="00" * 32).header))
    with pytest.raises(Refused) as caught:
        send(pair, sealer, FrameKind.PART, b"evil")
    assert caught.value.reason is Tally.BLOB_CORRUPT
    send_whole(pair, sealer, b"good")
    assert len(pair.arrived) == 1


def test_parts_beyond_the_length_and_parts_of_no_blob_are_dropped() -> None:
    pair = Pair()
    sealer = hostile(pair)
    send(pair, sealer, FrameKind.PART, b"of nothing")
    send(pair, sealer, FrameKind.BEGIN, encode(blob(b"short").header))
    send(pair, sealer, FrameKind.PART, b"much longer than it said")
    send_whole(pair, sealer, b"good")
    assert [bytes(arrived.payload) for arrived in pair.arrived] == [b"good"]
    assert pair.tally[Tally.BLOB_INTERRUPTED] == 1


def test_a_header_that_is_no_header_is_refused_and_ends_the_blob_before_it() -> None:
    pair = Pair()
    sealer = hostile(pair)
    send(pair, sealer, FrameKind.BEGIN, encode(blob(b"short").header))
    with pytest.raises(Refused):
        send(pair, sealer, FrameKind.BEGIN, b"\xc1")
    send(pair, sealer, FrameKind.PART, b"short")
    send_whole(pair, sealer, b"good")
    assert [bytes(arrived.payload) for arrived in pair.arrived] == [b"good"]
