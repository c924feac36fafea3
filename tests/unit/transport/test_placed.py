"""Both ends of a pair that shares memory, without sockets."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import pytest

from p2pgan.protocol.messages import BlobHeader, BlobKind
from p2pgan.transport import BulkLimits, PeerAddress, SharingFailed, Tally, new_keys
from p2pgan.transport.arrivals import BlobArrived
from p2pgan.transport.meter import Meter
from p2pgan.transport.outbound import PATIENCE_S, Blob, Outbound
from p2pgan.transport.placed_in import LOOKS_AT_ONCE, TELL_AFTER_S, PlacedIn
from p2pgan.transport.placed_out import OFFER_REPEAT_S, REFUSED_S, RETRY_S, STALL_S, PlacedOut
from p2pgan.transport.shared_memory import SharedMemory
from p2pgan.transport.sharing import MOST_HELD, MOST_PLACED, ArenaAnswer, BlobsHeld, BlobsPlaced, Placed
from p2pgan.transport.tally import Refused

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd is of Linux")

LIMITS = BulkLimits(max_blob_bytes=1 << 20, max_shared_bytes=1 << 24)
A, B = new_keys().public, new_keys().public


def header_of(index: int, length: int, **other: object) -> BlobHeader:
    known = BlobHeader(
        run="r", term=1, kind=BlobKind.SLICE, round=1, attempt=1, index=index, codec="fp16", length=length,
        digest="",
    )  # fmt: skip
    return msgspec.structs.replace(known, **other)


@dataclass
class Pair:
    """A sender and a receiver, and the clock of both."""

    limits: BulkLimits = LIMITS
    now: float = 100.0
    tally: Counter[Tally] = field(default_factory=Counter)
    sent: int = 0
    told: list[SharingFailed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = SharedMemory(A, LIMITS.max_shared_bytes, self.tally, self.told.append)
        self.memory.host = "10.0.0.1"
        self.outbound = Outbound(LIMITS, self.tally, Meter())
        self.out = PlacedOut(B, self.memory, self.outbound, self.tally)
        self.out.near = True
        self.inn = PlacedIn(A, self.limits, self.tally, self.told.append)

    def agree(self) -> ArenaAnswer:
        offer = self.out.offer(self.now)
        assert offer is not None
        answer = self.inn.offered(offer, self.now)
        self.out.answered(answer, self.now)
        return answer

    def put(self, content: bytes = b"payload", **other: object) -> Blob:
        payload = self.memory.allocate(len(content))
        payload[:] = content
        blob = Blob(header_of(self.sent, len(content), **other), payload.toreadonly())
        self.sent += 1
        self.outbound.put(blob, self.now)
        return blob

    def deliver(self) -> list[BlobArrived]:
        message = self.out.place(self.now)
        assert message is not None
        arrived = self.inn.arrived(message, self.now)
        assert arrived is not None
        return arrived

    def tell(self) -> BlobsHeld:
        news = self.inn.news(self.now) or self.inn.news(self.now + TELL_AFTER_S)
        assert news is not None
        self.out.held(news, self.now)
        return news


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    assert made.agree().taken
    return made


def test_a_blob_arrives_and_is_held_until_nobody_reads_it(pair: Pair) -> None:
    pair.put(b"one")
    assert pair.outbound.offer(pair.now) is not None, "it may also go in frames while it waits"
    [arrived] = pair.deliver()
    assert (arrived.sender, bytes(arrived.payload)) == (A, b"one")
    assert pair.outbound.bytes_held == 3
    assert pair.tell().held == (0,)
    assert pair.outbound.bytes_held == 0
    assert pair.tally[Tally.BLOBS_SENT] == 1
    del arrived
    assert pair.tell().held == ()
    assert pair.tally[Tally.SHARED_BYTES_SENT] == pair.tally[Tally.SHARED_BYTES_RECEIVED] == 3


def test_memory_is_used_again_only_after_the_receiver_has_done(pair: Pair) -> None:
    pair.put(b"first")
    [arrived] = pair.deliver()
    pair.tell()
    pair.put(b"second")
    assert bytes(arrived.payload) == b"first"
    del arrived
    pair.tell()
    pair.deliver()
    pair.tell()
    arena = pair.memory.arena()
    assert arena is not None
    assert arena.offset_of(pair.put(b"third").payload) == 4096


def test_what_lies_elsewhere_or_has_a_digest_goes_in_frames(pair: Pair) -> None:
    pair.put(digest="ab" * 32)
    pair.put(kind=BlobKind.CHUNK)
    pair.outbound.put(Blob(header_of(9, 5), memoryview(b"bytes")), pair.now)
    assert pair.out.place(pair.now) is None


def test_one_that_travels_is_not_sent_twice(pair: Pair) -> None:
    blob = pair.put()
    pair.deliver()
    pair.outbound.put(blob, pair.now)
    assert pair.tally[Tally.BLOB_REPEATED] == 1


def test_steady_traffic_in_memory_does_not_make_stale_what_goes_in_frames(pair: Pair) -> None:
    pair.put(b"step")
    for _ in range(31 * 25):
        pair.deliver()
        pair.put(b"step")  # the next is there before the last one is acknowledged
        pair.tell()
        pair.now += 0.04
    pair.outbound.put(Blob(header_of(pair.sent, 5), memoryview(b"chunk")), pair.now)
    assert pair.outbound.offer(pair.now) is not None
    assert pair.tally[Tally.BLOB_EXPIRED] == 0


def test_what_is_dropped_as_stale_is_not_what_travels_in_memory(pair: Pair) -> None:
    pair.outbound.put(Blob(header_of(900, 5), memoryview(b"chunk")), pair.now)
    pair.now += PATIENCE_S
    pair.put(b"step")
    pair.deliver()
    assert pair.outbound.offer(pair.now) is None
    assert pair.tally[Tally.BLOB_EXPIRED] == 1
    assert pair.outbound.bytes_held == 4
    pair.tell()
    assert pair.outbound.bytes_held == 0


def test_a_peer_at_another_address_is_offered_nothing() -> None:
    memory = SharedMemory(A, LIMITS.max_shared_bytes, Counter(), [].append)
    memory.host = "10.0.0.1"
    assert memory.is_near(PeerAddress("tcp://10.0.0.1:5", "tcp://10.0.0.1:6"))
    assert not memory.is_near(PeerAddress("tcp://10.0.0.2:5", "tcp://10.0.0.2:6"))
    far = Pair()
    far.out.near = False
    assert far.out.offer(far.now) is None


def test_who_says_no_gets_frames_and_is_asked_again_less_and_less_often() -> None:
    pair = Pair(limits=BulkLimits(max_shared_bytes=0))
    assert pair.agree().reason == "shared memory is switched off here"
    blob = pair.put()
    assert pair.out.place(pair.now) is None
    assert pair.outbound.divert(lambda each: each.payload is blob.payload, 1) == [blob], "it waits for frames"
    assert pair.tally[Tally.NOT_SHARED] == 1
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        assert pair.out.offer(pair.now + pause - 0.1) is None
        pair.now += pause
        assert not pair.agree().taken
    assert REFUSED_S == 60
    offer = pair.out.offer(pair.now + 60)
    assert offer is not None
    pair.out.answered(ArenaAnswer(offer.offer_id, False, "another reason"), pair.now + 60)
    assert pair.told == [SharingFailed(B, "shared memory is switched off here")], "told once, by who offered"


def test_a_machine_without_memory_to_share_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError("no descriptor left")

    monkeypatch.setattr(os, "memfd_create", refuse)
    pair = Pair()
    assert pair.out.offer(pair.now) is None
    assert pair.out.offer(pair.now) is None
    assert pair.told == [SharingFailed(None, "no descriptor left")]


def test_an_offer_without_an_answer_is_made_again() -> None:
    pair = Pair()
    assert pair.out.offer(pair.now) is not None
    assert pair.out.offer(pair.now + OFFER_REPEAT_S - 1) is None
    assert pair.out.offer(pair.now + OFFER_REPEAT_S) is not None


def test_an_offer_that_comes_twice_is_answered_twice_and_counts_on(pair: Pair) -> None:
    again = Pair()
    offer = again.out.offer(again.now)
    assert offer is not None
    again.out.answered(again.inn.offered(offer, again.now), again.now)
    again.put()
    kept = again.deliver()
    assert again.inn.offered(offer, again.now).taken
    again.put()
    assert len(again.deliver()) == 1
    assert len(kept) == 1


def test_offers_that_come_too_fast_are_refused_unseen(pair: Pair) -> None:
    taken = 0
    for _ in range(1000):
        offer = Pair().out.offer(pair.now)
        assert offer is not None
        answer = pair.inn.offered(offer, pair.now)
        taken += answer.taken
    assert taken == 0, "the memory of those that were looked at is gone"
    assert [failed.peer for failed in pair.told] == [A], "a sender cannot fill the log"
    assert pair.tally[Tally.NOT_SHARED] <= LOOKS_AT_ONCE + 1
    assert answer.reason == "offers come too fast"


def test_a_receiver_that_knows_of_no_offer_makes_the_sender_begin_anew(pair: Pair) -> None:
    pair.put(b"again")
    message = pair.out.place(pair.now)
    assert message is not None
    assert PlacedIn(A, LIMITS, pair.tally, pair.told.append).arrived(message, pair.now) is None
    pair.out.answered(ArenaAnswer(message.offer_id, False), pair.now)
    assert pair.tally[Tally.NOT_SHARED] == 0
    pair.now += RETRY_S
    assert pair.agree().taken
    assert pair.out.place(pair.now) is None, "the old memory may still be read, so this goes in frames"
    assert pair.outbound.bytes_held == 5


def test_a_gap_makes_the_sender_begin_anew_and_a_repeat_changes_nothing(pair: Pair) -> None:
    pair.put()
    first = pair.out.place(pair.now)
    pair.put()
    second = pair.out.place(pair.now)
    assert first is not None
    assert second is not None
    assert pair.inn.arrived(second, pair.now) is None
    arrived = pair.inn.arrived(first, pair.now)
    assert arrived is not None
    assert len(arrived) == 1
    assert pair.inn.arrived(first, pair.now) == []


def test_what_was_interrupted_waits_in_its_old_order_and_its_memory_is_not_written_to(pair: Pair) -> None:
    blobs = [pair.put(bytes([number])) for number in range(3)]
    before = pair.memory.arena()
    [first, *_] = pair.deliver()
    pair.out.interrupted(pair.now)
    assert pair.outbound.divert(lambda _: True, 9) == blobs
    assert pair.memory.arena() is not before
    assert bytes(first.payload) == b"\0"


def test_an_interruption_while_nothing_is_read_keeps_the_memory_for_other_readers(pair: Pair) -> None:
    other = PlacedOut(new_keys().public, pair.memory, Outbound(LIMITS, pair.tally, Meter()), pair.tally)
    other.near = True
    offer = other.offer(pair.now)
    assert offer is not None
    other.answered(ArenaAnswer(offer.offer_id, True), pair.now)
    before = pair.memory.arena()
    pair.out.interrupted(pair.now)
    assert pair.memory.arena() is before
    other.interrupted(pair.now)
    assert pair.memory.arena() is not before, "nobody reads it any more"


def test_others_are_offered_the_new_arena_once_they_had_all_of_the_old(pair: Pair) -> None:
    third = Pair()
    third.memory = pair.memory
    third.out = PlacedOut(new_keys().public, pair.memory, third.outbound, third.tally)
    third.out.near = True
    third.agree()
    pair.put()
    third.put()
    kept = third.deliver(), pair.deliver()
    pair.out.interrupted(pair.now)
    assert third.out.offer(third.now + 100) is None
    third.tell()
    third.out.offer(third.now)
    offer = third.out.offer(third.now + RETRY_S)
    assert offer is not None
    fresh = pair.memory.arena()
    assert fresh is not None
    assert offer.descriptor == fresh.descriptor
    assert len(kept) == 2


def test_a_peer_that_says_nothing_for_long_is_given_up(pair: Pair) -> None:
    pair.put()
    pair.deliver()
    assert not pair.out.stalled(pair.now + STALL_S - 1)
    assert pair.out.stalled(pair.now + STALL_S)
    pair.tell()
    assert not pair.out.stalled(pair.now + 10 * STALL_S)


def test_what_one_peer_can_have_held_is_bounded(pair: Pair) -> None:
    kept: list[BlobArrived] = []
    for _ in range(MOST_HELD // MOST_PLACED):
        for _ in range(MOST_PLACED):
            pair.put(b"x")
        kept += pair.deliver()
        pair.tell()
    assert len(kept) == MOST_HELD
    pair.put(b"one more")
    assert pair.out.place(pair.now) is None
    del kept[0]
    pair.tell()
    assert len(pair.deliver()) == 1


def test_a_sender_that_does_not_mind_the_bound_loses_what_is_beyond(pair: Pair) -> None:
    pair.put(b"x")
    message = pair.out.place(pair.now)
    assert message is not None
    [template] = message.blobs
    kept = []
    for number in range(MOST_HELD + 5):
        one = BlobsPlaced(message.offer_id, (Placed(number, template.offset, template.header),))
        arrived = pair.inn.arrived(one, pair.now)
        assert arrived is not None
        kept += arrived
    assert len(kept) == MOST_HELD
    assert pair.tally[Tally.QUEUE_FULL] == 5


def forged(pair: Pair, **other: object) -> BlobsPlaced:
    pair.put(b"seven!!")
    message = pair.out.place(pair.now)
    assert message is not None
    [placed] = message.blobs
    return BlobsPlaced(message.offer_id, (msgspec.structs.replace(placed, **other),))


@pytest.mark.parametrize(
    "other",
    [
        {"offset": 0},
        {"offset": 4095},
        {"offset": (1 << 24) - 6},
        {"offset": 2**62},
        {"header": header_of(0, 0)},
        {"header": header_of(0, 7, digest="ab" * 32)},
        {"header": header_of(0, 7, kind=BlobKind.CHUNK)},
        {"header": header_of(0, 7, kind=BlobKind.IMAGES)},
    ],
)
def test_a_blob_that_cannot_be_is_an_offence(pair: Pair, other: dict[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        pair.inn.arrived(forged(pair, **other), pair.now)
    assert caught.value.reason is Tally.MALFORMED


def test_a_blob_over_the_limit_is_refused(pair: Pair) -> None:
    with pytest.raises(Refused) as caught:
        pair.inn.arrived(forged(pair, header=header_of(0, (1 << 20) + 1)), pair.now)
    assert caught.value.reason is Tally.BLOB_TOO_LONG


@pytest.mark.parametrize("through", [2, 2**62])
def test_news_of_what_was_not_placed_is_ignored(pair: Pair, through: int) -> None:
    blob = pair.put()
    message = pair.out.place(pair.now)
    assert message is not None
    pair.out.held(BlobsHeld(message.offer_id, through, ()), pair.now)
    pair.out.held(BlobsHeld(bytes(16), 1, ()), pair.now)
    assert pair.outbound.bytes_held == len(blob.payload)


def test_news_is_told_again_after_it_may_have_been_lost(pair: Pair) -> None:
    pair.put()
    kept = pair.deliver()
    assert pair.inn.news(pair.now + TELL_AFTER_S) is not None
    assert pair.inn.news(pair.now + 1) is None
    pair.inn.tell_again(pair.now)
    pair.tell()
    assert pair.tally[Tally.BLOBS_SENT] == len(kept) == 1
