"""Peers that do not play by the rules: nothing of theirs gets through, and nobody else notices."""

import os
from collections.abc import Callable

import msgpack
import pytest
import zmq

from p2pgan.transport import MessageArrived, StrangerSeen, Tally, codec
from p2pgan.transport.keying import Credit, SealAccepted, SealOffer
from p2pgan.transport.limits import FRAME_BYTES
from p2pgan.transport.seal import FrameKind, Sealer
from tests.contract.transport.parties import Party, RawPeer, header_of, note, wait_for_event

MakeParty = Callable[..., Party]


def still_serves(target: Party, honest: Party) -> None:
    """An honest peer's message gets through, and nothing else arrived before it."""
    honest.transport.send(target.id, note(77))
    assert target.next_message() == MessageArrived(honest.id, note(77))
    assert target.arrived_so_far() == []


@pytest.fixture
def pair(party: MakeParty, raw: RawPeer) -> tuple[Party, Party]:
    """A target that knows an honest peer and the raw one, and the honest peer, in touch."""
    target, honest = party(), party()
    target.know(honest, raw)
    honest.know(target)
    still_serves(target, honest)
    return target, honest


def offer(number: int = 0) -> SealOffer:
    return SealOffer(key_id=bytes([number]) * 16, key=os.urandom(32))


def frames(sealer: Sealer, payload: bytes) -> list[bytes]:
    header = codec.encode(header_of(payload))
    return [bytes(sealer.seal(FrameKind.BEGIN, header)), bytes(sealer.seal(FrameKind.PART, payload))]


def test_an_unregistered_key_cannot_exchange_a_message(party: MakeParty, raw: RawPeer) -> None:
    target, honest = party(), party()
    target.know(honest)
    honest.know(target)
    control = raw.control_to(target, handshake_ms=200)
    control.send(codec.encode(note(1)))
    control.send(codec.encode(offer()))
    target.wait_for_count(Tally.STRANGER_DENIED, 3)
    assert target.next() == StrangerSeen(raw.id)
    still_serves(target, honest)
    assert target.count(Tally.BULK_DENIED) == 0
    assert not raw.router.poll(0)


def test_strangers_are_reported_at_most_once_a_second(party: MakeParty, raw: RawPeer) -> None:
    target = party()
    raw.control_to(target, handshake_ms=200)
    target.wait_for_count(Tally.STRANGER_DENIED, 4)
    assert target.arrivals.qsize() < target.count(Tally.STRANGER_DENIED)


@pytest.mark.parametrize("port", ["control", "bulk"])
def test_a_client_without_security_is_cut_off(party: MakeParty, raw: RawPeer, port: str) -> None:
    target = party()
    dealer = raw.dealer()

    def speak() -> None:
        dealer.connect(getattr(target.address, port))
        dealer.send(codec.encode(note(1)))

    wait_for_event(
        dealer,
        speak,
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        zmq.EVENT_DISCONNECTED,
    )
    assert target.arrivals.empty()
    assert target.count(Tally.MESSAGES_RECEIVED) == target.count(Tally.FRAME_BYTES_RECEIVED) == 0


def test_a_client_that_takes_the_server_for_another_tells_it_nothing(party: MakeParty, raw: RawPeer) -> None:
    target, other = party(), party()
    target.know(raw)
    control = raw.control_to(target, server_key=other.id)
    wait_for_event(
        control,
        lambda: control.send(codec.encode(note(1))),
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
        zmq.EVENT_DISCONNECTED,
    )
    assert target.arrivals.empty()
    assert target.count(Tally.STRANGER_DENIED) == 0  # it did not even learn the key that came


def test_a_bulk_client_that_guesses_a_key_id_is_cut_off(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    guess = raw.bulk_to(target, os.urandom(16))
    guess.send(bytes(100))
    target.wait_for_count(Tally.BULK_DENIED)
    still_serves(target, honest)
    assert target.count(Tally.FRAME_BYTES_RECEIVED) == 0


def test_a_revoked_key_is_cut_off_at_its_next_message(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    control = raw.control_to(target)
    control.send(codec.encode(note(1)))
    assert target.next_message() == MessageArrived(raw.id, note(1))
    given = offer()
    raw.agree(control, given)
    bulk = raw.bulk_to(target, given.key_id)
    sealer = Sealer(given.key_id, given.key, window=1)
    bulk.send_multipart([frames(sealer, b"")[0]])
    assert bytes(target.next_blob().payload) == b""

    target.know(honest)
    target.transport.send(raw.id, note())
    target.wait_for_count(Tally.UNKNOWN_PEER)  # so the table has changed
    control.send(codec.encode(note(2)))
    bulk.send(frames(sealer, b"evil")[0])
    target.wait_for_count(Tally.REVOKED)
    target.wait_for_count(Tally.FRAME_UNKNOWN_KEY)
    still_serves(target, honest)


def test_hostile_control_messages_are_dropped_and_counted(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    control = raw.control_to(target)
    hostile = [
        b"",
        os.urandom(1000),
        b"\x91" * 100_000,
        msgpack.packb({"type": "heartbeat"}),
        codec.encode(note())[:-1],
        codec.encode(header_of(b"x")),
    ]
    for data in hostile:
        control.send(data)
    control.send_multipart([codec.encode(note(1))] * 50)
    target.wait_for_count(Tally.MALFORMED, len(hostile) + 1)
    control.send(codec.encode(note(2)))
    assert target.next_message() == MessageArrived(raw.id, note(2))
    still_serves(target, honest)


def test_a_message_over_the_limit_ends_its_connection(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    control = raw.control_to(target)
    wait_for_event(control, lambda: control.send(bytes(codec.MAX_MESSAGE_BYTES + 1)), zmq.EVENT_DISCONNECTED)
    still_serves(target, honest)


def test_a_sealed_frame_counts_once(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    control = raw.control_to(target)
    given = offer()
    raw.agree(control, given)
    bulk = raw.bulk_to(target, given.key_id)
    sealed = frames(Sealer(given.key_id, given.key, window=1), b"once")
    for frame in sealed + sealed:
        bulk.send(frame)
    assert bytes(target.next_blob().payload) == b"once"
    while raw.receive(Credit) != Credit(given.key_id, 2):
        pass  # the first frame has its own
    target.wait_for_count(Tally.FRAME_REPLAYED, 2)

    raw.agree(control, given)  # the same offer again must not start the counter again
    for frame in sealed:
        bulk.send(frame)
    target.wait_for_count(Tally.FRAME_REPLAYED, 4)
    still_serves(target, honest)


def test_a_key_admits_one_connection(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    control = raw.control_to(target)
    given = offer()
    raw.agree(control, given)
    first = raw.bulk_to(target, given.key_id)
    sealed = frames(Sealer(given.key_id, given.key, window=1), b"first")
    first.send(sealed[0])
    first.send(sealed[1])
    target.next_blob()
    raw.bulk_to(target, given.key_id)
    target.wait_for_count(Tally.BULK_DENIED)
    still_serves(target, honest)


def test_forged_frames_do_not_disturb_the_blob_they_are_mixed_into(
    pair: tuple[Party, Party], raw: RawPeer
) -> None:
    target, honest = pair
    control = raw.control_to(target)
    given = offer()
    raw.agree(control, given)
    bulk = raw.bulk_to(target, given.key_id)
    payload = os.urandom(1000)
    begin, part = frames(Sealer(given.key_id, given.key, window=1), payload)
    forged = bytearray(part)
    forged[-1] ^= 1
    for frame in (begin, bytes(forged), b"short", b"\x09" + part[1:], part):
        bulk.send(frame)
    assert target.next_blob().payload == payload
    assert target.count(Tally.FRAME_FORGED) == 1
    assert target.count(Tally.MALFORMED) == 2
    still_serves(target, honest)


def test_one_peers_key_id_is_not_anothers(party: MakeParty, raw: RawPeer) -> None:
    target, second = party(), RawPeer()
    try:
        target.know(raw, second)
        raw.agree(raw.control_to(target), offer(7))
        second.control_to(target).send(codec.encode(offer(7)))
        target.wait_for_count(Tally.MALFORMED)
    finally:
        second.close()


def test_a_bulk_frame_over_the_limit_ends_its_connection(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    given = offer()
    raw.agree(raw.control_to(target), given)
    bulk = raw.bulk_to(target, given.key_id)
    wait_for_event(bulk, lambda: bulk.send(bytes(FRAME_BYTES + 1000)), zmq.EVENT_DISCONNECTED)
    still_serves(target, honest)


def test_credit_and_acceptance_out_of_the_blue_are_ignored(pair: tuple[Party, Party], raw: RawPeer) -> None:
    target, honest = pair
    control = raw.control_to(target)
    control.send(codec.encode(Credit(bytes(16), 2**62)))
    control.send(codec.encode(SealAccepted(bytes(16))))
    control.send(codec.encode(note(1)))
    assert target.next_message() == MessageArrived(raw.id, note(1))
    still_serves(target, honest)
