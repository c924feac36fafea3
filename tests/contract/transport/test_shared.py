"""Payloads in shared memory between transports of this machine, and those who would abuse it."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from p2pgan.protocol.messages import BlobHeader
from p2pgan.transport import BlobArrived, BulkLimits, MessageArrived, Tally, codec
from p2pgan.transport.arena import Arena
from p2pgan.transport.foreign import machine
from p2pgan.transport.sharing import ArenaAnswer, ArenaOffer, BlobsHeld, BlobsPlaced, Placed
from tests.contract.transport.parties import Party, RawPeer, header_of, note, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd is of Linux")

MakeParty = Callable[..., Party]
SIZE = 1 << 20
RECEIVER = Path(__file__).parent / "receiver.py"


def slice_of(content: bytes, index: int = 0) -> BlobHeader:
    return msgspec.structs.replace(header_of(content, index), digest="")


def send(source: Party, to: Party, content: bytes, index: int) -> None:
    payload = source.transport.allocate(len(content))
    payload[:] = content
    source.transport.send_blob(to.id, slice_of(content, index), payload)


def until_shared(source: Party, to: Party) -> int:
    """Send a blob that is read where it was written; how many were sent."""
    source.wait_for_count(Tally.ARENA_TAKEN)
    send(source, to, b"hello", 0)
    assert bytes(to.next_blob().payload) == b"hello"
    assert source.count(Tally.SHARED_BYTES_SENT) == 5
    return 1


@pytest.fixture
def pair(party: MakeParty) -> tuple[Party, Party]:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    return a, b


def pages_of_arenas() -> int:
    """Pages of arenas that this process has before it; one that was only offered has one."""
    pages, counted = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.partition(" ")[0]:
            counted = "/memfd:p2pgan" in line
        elif counted and line.startswith("Rss:"):
            pages += int(line.split()[1]) * 1024 // mmap.PAGESIZE
    return pages


def test_a_large_payload_goes_over_no_wire(pair: tuple[Party, Party]) -> None:
    a, b = pair
    count = until_shared(a, b)
    frames, traffic, uplink = (
        a.count(Tally.FRAME_BYTES_SENT),
        a.transport.traffic().sent,
        a.transport.uplink(),
    )
    content = os.urandom(30_000_000)
    send(a, b, content, count)
    arrived = b.next_blob()
    assert (arrived.sender, arrived.header) == (a.id, slice_of(content, count))
    assert arrived.payload == content
    assert arrived.payload.readonly
    assert a.count(Tally.FRAME_BYTES_SENT) == frames
    assert a.transport.traffic().sent - traffic < 10_000
    assert a.transport.uplink() == uplink
    wait_until(lambda: a.transport.bytes_held(b.id) == 0, "acknowledged")
    a.wait_for_count(Tally.BLOBS_SENT, count + 1)
    assert b.count(Tally.SHARED_BYTES_RECEIVED) == a.count(Tally.SHARED_BYTES_SENT)


def test_what_was_not_written_there_and_what_has_a_digest_goes_sealed(pair: tuple[Party, Party]) -> None:
    a, b = pair
    count = until_shared(a, b)
    shared = a.count(Tally.SHARED_BYTES_SENT)
    a.send_blob(b, b"with a digest", count)
    a.transport.send_blob(b.id, slice_of(b"elsewhere", count + 1), b"elsewhere")
    assert {bytes(b.next_blob().payload) for _ in range(2)} == {b"with a digest", b"elsewhere"}
    assert a.count(Tally.SHARED_BYTES_SENT) == shared


def test_memory_does_not_grow_with_the_blobs_that_were_read(pair: tuple[Party, Party]) -> None:
    a, b = pair
    count = until_shared(a, b)
    content = os.urandom(1_000_000)
    for index in range(count, count + 300):
        send(a, b, content, index)
        assert b.next_blob().payload == content
        gc.collect(0)
    arena = a.transport._plane.memory.arena()  # type: ignore[union-attr]  # it is started
    assert arena is not None
    assert os.fstat(arena.descriptor).st_blocks * 512 < 100_000_000


def test_who_switched_it_off_gets_everything_sealed(party: MakeParty) -> None:
    a, b = party(), party(limits=BulkLimits(max_shared_bytes=0))
    a.know(b)
    b.know(a)
    a.wait_for_count(Tally.NOT_SHARED)
    for source, to in ((a, b), (b, a)):
        send(source, to, b"sealed", 0)
        assert bytes(to.next_blob().payload) == b"sealed"
        assert source.count(Tally.SHARED_BYTES_SENT) == 0


def test_a_restarted_peer_is_shared_with_again(party: MakeParty, pair: tuple[Party, Party]) -> None:
    a, b = pair
    until_shared(a, b)
    b.transport.close()
    again = party(keys=b.keys, address=b.address)
    again.know(a)
    send(a, again, b"first", 1000)
    while bytes(again.next_blob().payload) != b"first":
        pass  # what b was sent last, if it had no time to say that it has it
    before = a.count(Tally.SHARED_BYTES_SENT)
    a.wait_for_count(Tally.ARENA_TAKEN, 2)
    send(a, again, b"shared", 1001)
    assert bytes(again.next_blob().payload) == b"shared"
    assert a.count(Tally.SHARED_BYTES_SENT) == before + 6


def test_what_is_held_of_a_sender_that_was_killed_stays_readable_and_then_goes(party: MakeParty) -> None:
    a = party()
    child = subprocess.Popen(
        [sys.executable, str(RECEIVER), a.id, a.address.control, a.address.bulk, "send"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        key, control, bulk = child.stdout.readline().split()
        a.transport.set_peers({key: type(a.address)(control, bulk)})
        kept: list[BlobArrived] = []
        while not a.count(Tally.SHARED_BYTES_RECEIVED):
            kept.append(a.next_blob())
    finally:
        child.kill()
        child.communicate()
    assert bytes(kept[-1].payload) == b"x" * 100_000
    a.transport.set_peers({})
    a.transport.send(key, note())
    a.wait_for_count(Tally.UNKNOWN_PEER)
    assert pages_of_arenas() > 20
    kept.clear()
    wait_until(lambda: gc.collect() >= 0 and pages_of_arenas() <= 2, "none but heads are left")


def test_a_receiver_that_was_killed_frees_what_it_held(party: MakeParty) -> None:
    a = party()
    child = subprocess.Popen(
        [sys.executable, str(RECEIVER), a.id, a.address.control, a.address.bulk, "hold"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        key, control, bulk = child.stdout.readline().split()
        a.transport.set_peers({key: type(a.address)(control, bulk)})
        index = 0
        while not a.count(Tally.SHARED_BYTES_SENT):
            content = b"x" * 100_000
            payload = a.transport.allocate(len(content))
            payload[:] = content
            a.transport.send_blob(key, slice_of(content, index), payload)
            del payload
            assert child.stdout.readline() == "held\n"
            index += 1
        assert pages_of_arenas() > 20
    finally:
        child.kill()
        child.communicate()
    wait_until(lambda: gc.collect() >= 0 and pages_of_arenas() <= 2, "none but heads are left")


def still_serves(target: Party, honest: Party) -> None:
    honest.transport.send(target.id, note(77))
    assert target.next_message() == MessageArrived(honest.id, note(77))
    assert target.arrived_so_far() == []


@pytest.fixture
def target(pair: tuple[Party, Party], raw: RawPeer) -> Party:
    a, b = pair
    a.know(b, raw)
    still_serves(a, b)
    return a


def offer_of(raw: RawPeer, **other: object) -> ArenaOffer:
    here = machine()
    assert here is not None
    plain = ArenaOffer(offer_id=os.urandom(16), machine=here, pid=os.getpid(), descriptor=0, size=SIZE)
    return msgspec.structs.replace(plain, **other)


def answer_to(raw: RawPeer, offer: ArenaOffer) -> ArenaAnswer:
    while True:
        answer = raw.receive(ArenaAnswer)
        assert isinstance(answer, ArenaAnswer)
        if answer.offer_id == offer.offer_id:
            return answer


def test_offers_of_what_is_no_arena_are_refused_and_do_no_harm(
    pair: tuple[Party, Party], target: Party, raw: RawPeer, tmp_path: Path
) -> None:
    control = raw.control_to(target)
    unsealed = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(unsealed, SIZE)
    arena = Arena(raw.id, SIZE)
    file = os.open(tmp_path, os.O_RDONLY)
    hostile = [
        {"pid": 2**31 - 1},
        {"pid": 1, "descriptor": 0},
        {"descriptor": 2**31 - 1},
        {"descriptor": unsealed},
        {"descriptor": file},
        {"descriptor": arena.descriptor, "size": SIZE + 4096},
        {"descriptor": arena.descriptor, "machine": bytes(32)},
        {"descriptor": Arena(pair[1].id, SIZE).descriptor},
    ]
    for change in hostile:
        offer = offer_of(raw, **change)
        answer = ArenaAnswer(offer.offer_id, False, "offers come too fast")
        while answer.reason == "offers come too fast":
            control.send(codec.encode(offer))
            answer = answer_to(raw, offer)
        assert not answer.taken
    os.close(unsealed)
    os.close(file)
    still_serves(target, pair[1])


def test_thousands_of_offers_cost_next_to_nothing(
    pair: tuple[Party, Party], target: Party, raw: RawPeer
) -> None:
    control, arena = raw.control_to(target), Arena(raw.id, SIZE)
    before = pages_of_arenas()
    offers = [offer_of(raw, descriptor=arena.descriptor) for _ in range(3000)]
    for offer in offers:
        control.send(codec.encode(offer))
    answer_to(raw, offers[-1])
    assert pages_of_arenas() <= before + 5
    still_serves(target, pair[1])


def test_blobs_that_cannot_be_are_offences_and_a_revoked_peer_is_cut_off(
    pair: tuple[Party, Party], target: Party, raw: RawPeer
) -> None:
    control, arena = raw.control_to(target), Arena(raw.id, SIZE)
    offer = offer_of(raw, descriptor=arena.descriptor)
    control.send(codec.encode(offer))
    assert answer_to(raw, offer).taken
    payload = arena.allocate(5)
    assert payload is not None
    payload[:] = b"slice"
    offset = arena.offset_of(payload)
    assert offset is not None

    def placed(number: int, offset: int, header: BlobHeader) -> bytes:
        return codec.encode(BlobsPlaced(offer.offer_id, (Placed(number, offset, header),)))

    control.send(placed(0, offset, slice_of(b"slice")))
    assert bytes(target.next_blob().payload) == b"slice"
    hostile = [
        placed(1, 0, slice_of(b"slice")),
        placed(1, SIZE - 4, slice_of(b"slice")),
        placed(1, 2**62, slice_of(b"slice")),
        placed(1, offset, header_of(b"slice")),
        placed(1, offset, slice_of(b"")),
    ]
    for message in hostile:
        control.send(message)
    target.wait_for_count(Tally.MALFORMED, len(hostile))
    assert target.transport.offences()[raw.id] == len(hostile)
    control.send(placed(9, offset, slice_of(b"slice")))
    assert not answer_to(raw, offer).taken, "a gap: begin anew"
    control.send(codec.encode(BlobsHeld(offer.offer_id, 2**62, (1, 2, 3))))
    still_serves(target, pair[1])

    target.know(pair[1])
    target.transport.send(raw.id, note())
    target.wait_for_count(Tally.UNKNOWN_PEER)
    control.send(placed(1, offset, slice_of(b"slice")))
    target.wait_for_count(Tally.REVOKED)
    still_serves(target, pair[1])
