"""What peers say, broken in ten thousand ways: refused and counted, at a bounded price in memory."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable

import msgpack
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pgan.protocol.ids import Contribution, SnapshotManifest, Span, VersionRecord
from p2pgan.protocol.messages import Heartbeat, Member, Phase, Plan, RoundCommitted, Shard, Welcome
from p2pgan.transport import BulkLimits, MessageArrived, Tally, codec
from p2pgan.transport.door import MOST_PARTS
from p2pgan.transport.inbound import Inbound
from p2pgan.transport.keying import SealOffer
from p2pgan.transport.plane import MOST_CONTROL_UNFINISHED
from p2pgan.transport.seal import FrameKind, Sealer, parse_header
from p2pgan.transport.tally import Refused
from tests.attacks.scene import acquaint, offer, resident_bytes, still_serves
from tests.contract.transport.parties import Party, RawPeer, header_of, note, wait_for_event

MakeParty = Callable[..., Party]
CASES_AT_ONCE = 25
READ_COST = 16
"""Reading a message takes at most so many times its length."""

RECORD = VersionRecord(
    8, "cd" * 32, "ab" * 32, 3, 0, "k" * 40, 64, (Contribution("k" * 40, (Span(0, 0, 0, 64),)),)
)
MANIFEST = SnapshotManifest(7, "ab" * 32, "s" * 64, 640, 2 << 20, ("d" * 64, "e" * 64))
PLAN = Plan(
    run="r",
    term=3,
    round=8,
    attempt=1,
    first_attempt=1,
    base_version=7,
    base_digest="ab" * 32,
    members=(Member("k" * 40, (Span(0, 0, 0, 64),), True),),
    shards=(Shard("k" * 40, 0, 4096),),
    codec="fp16",
    reason="a round",
)
MESSAGES = [
    codec.encode(each)
    for each in (
        Heartbeat(
            run="r", term=3, version=7, digest="ab" * 32, phase=Phase.TRAINING, held=(Span(0, 1, 2, 3),)
        ),
        PLAN,
        RoundCommitted(run="r", term=3, record=RECORD),
        Welcome(run="r", term=3, manifest=MANIFEST, ledger=(RECORD,), donors=("k" * 40,)),
        SealOffer(key_id=b"i" * 16, key=b"k" * 32),
    )
]
seeds = st.integers(0, 2**48)


def broken(draw: random.Random, data: bytes) -> bytes:
    """``data`` after a few of the things that go wrong or are done on purpose."""
    made = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(made) + 1)
        match draw.randrange(6):
            case 0:
                made[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                made[at:at] = draw.randbytes(draw.randint(1, 9))
            case 2:
                del made[at : at + draw.randint(1, 40)]
            case 3:
                # A length forged: of text, bytes, an array or a map, in each width.
                width = draw.choice([b"\xd9", b"\xda", b"\xdb", b"\xc4", b"\xc6", b"\xdc", b"\xdd", b"\xdf"])
                made[at:at] = width + b"\xff" * draw.randint(1, 4)
            case 4:
                made[at:at] = b"\x91" * draw.choice([1, 30, 3000])
            case _:
                other = draw.choice(MESSAGES)
                made[at:] = other[draw.randrange(len(other)) :]
    return bytes(made)


@settings(max_examples=240, derandomize=True, database=None)
@given(seed=seeds)
def test_six_thousand_broken_messages_are_refused_or_valid(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(CASES_AT_ONCE):
        data = broken(draw, draw.choice(MESSAGES))
        try:
            message = codec.decode(data)
        except Refused as refused:
            assert refused.reason is Tally.MALFORMED
        else:
            assert codec.decode(codec.encode(message)) == message


@settings(max_examples=160, derandomize=True, database=None)
@given(seed=seeds)
def test_four_thousand_broken_bulk_frames_never_make_a_blob_that_was_not_sent(seed: int) -> None:
    """Blob headers sealed by a registered peer that means harm, and frames broken on the way."""
    draw = random.Random(seed)
    given_key = SealOffer(key_id=b"i" * 16, key=b"k" * 32)
    tally: Counter[Tally] = Counter()
    limits = BulkLimits(max_blob_bytes=1 << 20)
    inbound, sealer = Inbound("mallory", given_key, limits, tally), Sealer(given_key.key_id, given_key.key, 4)
    for case in range(CASES_AT_ONCE):
        payload = draw.randbytes(draw.randint(0, 300))
        header = codec.encode(header_of(payload, case))
        if draw.random() < 0.5:
            header = broken(draw, header)[: 1 << 16]
        for kind, plain in ((FrameKind.BEGIN, header), (FrameKind.PART, payload)):
            frame = bytes(sealer.seal(kind, plain))
            sent = broken(draw, frame) if draw.random() < 0.3 else frame
            try:
                parsed = parse_header(memoryview(sent))
                blob = inbound.receive(memoryview(sent), parsed) if parsed.key_id == b"i" * 16 else None
            except Refused:
                continue
            if blob is not None:
                assert len(blob.payload) == blob.header.length <= limits.max_blob_bytes
                assert header_of(bytes(blob.payload)).digest == blob.header.digest


def test_broken_messages_over_a_socket_are_all_accounted_for(party: MakeParty, raw: RawPeer) -> None:
    target, honest = party(), party()
    acquaint(target, honest, raw)
    control, draw = raw.control_to(target), random.Random(7)
    sent = 2000
    valid = 0
    for _ in range(sent):
        data = broken(draw, draw.choice(MESSAGES[:4]))
        try:
            codec.decode(data)
            valid += 1
        except Refused:
            pass
        control.send(data)
    arrived = [target.next_message() for _ in range(valid)]
    target.wait_for_count(Tally.MALFORMED, sent - valid)
    assert {each.sender for each in arrived} <= {raw.id}
    assert target.transport.offences() == {raw.id: sent - valid}
    still_serves(target, honest)


def nested(field: str) -> bytes:
    """Eight megabytes of empty arrays in arrays, each of which would cost 64 bytes as an object."""
    inner = b"\xdc\x00\x78" + b"\x90" * 120
    count = min(65_536, (codec.MAX_MESSAGE_BYTES - 200) // len(inner))
    name = msgpack.packb(field)
    return b"\x82\xa4type\xa9heartbeat" + name + b"\xdd" + count.to_bytes(4, "big") + inner * count


def spans(members: int) -> bytes:
    """A plan of as many spans as fit."""
    span = msgpack.packb([0, 0, 0, 1])
    member = b"\x93\xa1k\xdd" + (65_536).to_bytes(4, "big") + span * 65_536 + b"\xc3"
    return b"\x82\xa4type\xa4plan\xa7members" + b"\xdc" + members.to_bytes(2, "big") + member * members


@pytest.mark.parametrize(
    "data",
    [
        nested("junk"),
        nested("held"),
        spans(25),
        b"\x82\xa4type\xa7leaving\xa3run\xdb\x00\x7f\xff\x00" + b"r" * 0x7FFF00,
        b"\xdf\x00\x80\x00\x00" + b"\xa0\x90" * (2 << 20),
    ],
    ids=["in a field nobody knows", "in a field of numbers", "spans", "a long name", "a map of nothing"],
)
def test_the_longest_message_costs_little_memory(data: bytes) -> None:
    assert len(data) <= codec.MAX_MESSAGE_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            codec.decode(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= READ_COST * codec.MAX_MESSAGE_BYTES


def test_a_message_of_twenty_thousand_parts_ends_its_connection(party: MakeParty, raw: RawPeer) -> None:
    target, honest = party(), party()
    acquaint(target, honest, raw)
    control = raw.control_to(target)
    control.send(codec.encode(note(1)))
    assert target.next_message() == MessageArrived(raw.id, note(1))
    wait_for_event(
        control, lambda: control.send_multipart([codec.encode(note(2))] * 20_000), zmq.EVENT_DISCONNECTED
    )
    target.wait_for_count(Tally.ENDLESS)
    assert target.transport.offences() == {raw.id: 2}  # several parts, and far too many
    target.wait_for_count(Tally.BARRED)  # it tries again at once
    still_serves(target, honest)


def test_a_few_parts_cost_the_message_alone(party: MakeParty, raw: RawPeer) -> None:
    target, honest = party(), party()
    acquaint(target, honest, raw)
    control = raw.control_to(target)
    control.send_multipart([codec.encode(note(1))] * MOST_PARTS)
    control.send(codec.encode(note(2)))
    assert target.next_message() == MessageArrived(raw.id, note(2))
    assert target.count(Tally.ENDLESS) == 0
    still_serves(target, honest)


@pytest.mark.parametrize("port", ["control", "bulk"])
def test_a_message_without_an_end_is_cut_off_before_it_fills_the_memory(
    party: MakeParty, raw: RawPeer, port: str
) -> None:
    target, honest = party(), party()
    acquaint(target, honest, raw)
    control = raw.control_to(target)
    control.send(codec.encode(note(1)))
    assert target.next_message() == MessageArrived(raw.id, note(1))
    sender, part = control, bytes(256 << 10)
    if port == "bulk":
        given_key = offer()
        raw.agree(control, given_key)
        sender = raw.bulk_to(target, given_key.key_id)
        seal = Sealer(given_key.key_id, given_key.key, window=1)
        sender.send(bytes(seal.seal(FrameKind.BEGIN, codec.encode(header_of(b"")))))
        target.next_blob()
    before = resident_bytes()

    def go_on_and_on() -> None:
        # Twice the bound: what is not taken any more stays with the sender, which is this process too.
        for _ in range(2 * MOST_CONTROL_UNFINISHED // len(part)):
            sender.send(part, zmq.SNDMORE)
        sender.send(part)

    wait_for_event(sender, go_on_and_on, zmq.EVENT_DISCONNECTED)
    target.wait_for_count(Tally.ENDLESS)
    assert raw.id in target.transport.offences()
    assert resident_bytes() - before < 8 * MOST_CONTROL_UNFINISHED
    still_serves(target, honest)
