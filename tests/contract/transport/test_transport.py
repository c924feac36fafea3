"""Peers that play by the rules: messages and blobs arrive, also after restarts and late arrivals."""

import os
import threading
import time
from collections.abc import Callable

import pytest
import zmq

from p2pgan.errors import ConfigError, InternalError
from p2pgan.protocol.events import LinkEnded
from p2pgan.transport import (
    BulkLimits,
    MessageArrived,
    PeerAddress,
    StrangerSeen,
    Tally,
    Transport,
    Ways,
    new_keys,
)
from p2pgan.transport.limits import FRAME_BYTES
from tests.contract.transport.parties import Party, header_of, note, wait_for_event, wait_until

MakeParty = Callable[..., Party]


def test_messages_go_both_ways_and_name_their_sender(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.transport.send(b.id, note(1))
    assert b.next_message() == MessageArrived(a.id, note(1))
    b.transport.send(a.id, note(2))
    assert a.next_message() == MessageArrived(b.id, note(2))


def test_who_can_be_dialled_is_known_whoever_dials_us(party: MakeParty) -> None:
    a, walled = party(), party()
    walled.know(a)
    nobody = "tcp://127.0.0.9:1"
    a.transport.set_peers({walled.id: PeerAddress(nobody, nobody)})
    walled.transport.send(a.id, note())
    assert a.next_message().sender == walled.id
    wait_until(lambda: walled.transport.ways() == Ways(out=frozenset({a.id})), "the handshake is noticed")
    assert a.transport.ways() == Ways(inward=frozenset({walled.id}))
    a.know(walled)
    both = Ways(frozenset({a.id}), frozenset({a.id}))
    wait_until(lambda: walled.transport.ways() == both, "it can be dialled now")


def test_messages_of_one_sender_keep_their_order(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    for number in range(100):
        a.transport.send(b.id, note(number))
    assert [b.next_message().message.term for _ in range(100)] == list(range(100))


def test_forty_megabytes_arrive_whole_both_ways_at_once(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    for_b, for_a = os.urandom(40_000_000), os.urandom(40_000_000)
    a.send_blob(b, for_b)
    b.send_blob(a, for_a)
    at_b, at_a = b.next_blob(), a.next_blob()
    assert (at_b.sender, at_b.header) == (a.id, header_of(for_b))
    assert at_b.payload == for_b
    assert at_a.payload == for_a
    wait_until(lambda: a.count(Tally.BLOBS_SENT) == b.count(Tally.BLOBS_SENT) == 1, "both acknowledged")


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES, FRAME_BYTES + 1])
def test_blobs_of_odd_sizes_arrive(party: MakeParty, size: int) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    payload = os.urandom(size)
    a.send_blob(b, payload)
    assert b.next_blob().payload == payload


def test_a_received_payload_can_be_written_and_sent_on(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.send_blob(b, bytes(1000))
    payload = b.next_blob().payload
    payload[0] = 7
    b.transport.send_blob(a.id, header_of(bytes(payload)), payload)
    assert a.next_blob().payload == payload


def test_three_peers_exchange_everything_with_everyone(party: MakeParty) -> None:
    parties = [party() for _ in range(3)]
    payloads = {each.id: os.urandom(5_000_000) for each in parties}
    for each in parties:
        each.know(*parties)
    for each in parties:
        for other in parties:
            if other is not each:
                each.send_blob(other, payloads[each.id])
    for each in parties:
        arrived = [each.next_blob() for _ in range(2)]
        assert {blob.sender for blob in arrived} == {other.id for other in parties} - {each.id}
        assert all(blob.payload == payloads[blob.sender] for blob in arrived)


def test_a_key_is_replaced_when_it_is_used_up(party: MakeParty) -> None:
    limits = BulkLimits(max_blob_bytes=2 * FRAME_BYTES, frames_per_key=4)
    a, b = party(limits=limits), party()
    a.know(b)
    b.know(a)
    payloads = [os.urandom(FRAME_BYTES + 5) for _ in range(4)]
    for index, payload in enumerate(payloads):
        a.send_blob(b, payload, index)
    assert [b.next_blob().payload for _ in range(4)] == payloads
    assert a.count(Tally.REKEYED) == 3


def test_a_restarted_peer_gets_messages_and_blobs_under_fresh_keys(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.send_blob(b, b"before", 0)
    assert bytes(b.next_blob().payload) == b"before"
    b.transport.close()
    again = party(keys=b.keys, address=b.address)
    again.know(a)
    a.transport.send(b.id, note(5))
    assert again.next_message().message == note(5)
    a.send_blob(b, b"after", 1)
    assert bytes(again.next_blob().payload) == b"after"
    assert a.count(Tally.REKEYED) == 1
    again.send_blob(a, b"answer", 2)
    assert bytes(a.next_blob().payload) == b"answer"


def test_a_blob_that_a_crash_cut_short_arrives_at_the_restarted_peer(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    payload = os.urandom(40_000_000)
    a.send_blob(b, payload)
    wait_until(lambda: b.count(Tally.FRAME_BYTES_RECEIVED) > 0, "the blob is on its way")
    b.transport.close()
    again = party(keys=b.keys, address=b.address)
    again.know(a)
    assert again.next_blob().payload == payload


def test_a_connection_that_ended_is_told_at_once_and_made_again(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.transport.send(b.id, note(1))
    b.next_message()
    b.transport.close()
    assert a.next() == LinkEnded(b.id)
    again = party(keys=b.keys, address=b.address)
    again.know(a)
    a.transport.send(b.id, note(2))
    assert again.next_message().message == note(2)


def test_a_connection_that_was_refused_has_not_ended(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    a.transport.send(b.id, note(1))
    b.wait_for_count(Tally.STRANGER_DENIED, at_least=2)
    b.know(a)
    assert b.next_message().message == note(1)
    assert a.arrivals.empty()


def test_a_peer_that_comes_back_at_another_address_is_dialled_there(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.transport.send(b.id, note(1))
    b.next_message()
    b.transport.close()
    a.transport.send(b.id, note(2))
    moved = party(keys=b.keys)
    moved.know(a)
    a.know(moved)
    a.send_blob(moved, b"here")
    a.transport.send(b.id, note(3))
    numbers = set()
    while 3 not in numbers:
        arrival = moved.next()
        if isinstance(arrival, MessageArrived):
            numbers.add(arrival.message.term)
        elif not isinstance(arrival, StrangerSeen):
            assert bytes(arrival.payload) == b"here"


def test_a_stranger_is_reported_and_gets_in_as_soon_as_it_is_allowed(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    a.transport.send(b.id, note(1))
    a.send_blob(b, b"early")
    assert b.next() == StrangerSeen(a.id)
    assert b.arrived_so_far() == []
    b.know(a)
    allowed_at = time.monotonic()
    assert b.next_message() == MessageArrived(a.id, note(1))
    assert bytes(b.next_blob().payload) == b"early"
    assert time.monotonic() - allowed_at < 5.0  # it is within one; the rest is for a busy machine


def test_what_is_sent_to_someone_unknown_is_counted(party: MakeParty) -> None:
    a = party()
    a.transport.send(new_keys().public, note())
    a.transport.send_blob(new_keys().public, header_of(b"x"), b"x")
    a.wait_for_count(Tally.UNKNOWN_PEER, 2)


def test_a_row_that_cannot_be_dialled_does_no_harm(party: MakeParty) -> None:
    a, b = party(), party()
    bad = PeerAddress("tcp://nowhere", "ipc:///tmp/x")
    a.transport.set_peers({b.id: b.address, new_keys().public: bad, "no key": b.address, a.id: a.address})
    b.know(a)
    a.transport.send(b.id, note(1))
    assert b.next_message().message == note(1)
    assert a.count(Tally.UNUSABLE_ADDRESS) == 2


def test_messages_for_a_dead_peer_stay_within_bounds_and_the_newest_arrive(party: MakeParty) -> None:
    a, b = party(), party()
    b.transport.close()
    a.know(b)
    for number in range(1000):
        a.transport.send(b.id, note(number))
    a.wait_for_count(Tally.QUEUE_FULL, 872)
    again = party(keys=b.keys, address=b.address)
    again.know(a)
    terms = [again.next_message().message.term]
    while terms[-1] < 999:
        terms.append(again.next_message().message.term)
    assert terms == list(range(terms[0], 1000))
    assert terms[0] in (872, 873), "the transport's own answer to its peer may take one place"


def test_a_taken_port_is_said_to_be_so(party: MakeParty) -> None:
    port = int(party().address.control.rpartition(":")[2])
    transport = Transport(new_keys(), deliver=lambda _: None, control_port=port)
    with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is taken"):
        transport.start()
    transport.close()


def test_an_address_of_another_machine_is_said_to_be_so() -> None:
    transport = Transport(new_keys(), deliver=lambda _: None, bind_host="192.0.2.77")
    with pytest.raises(ConfigError, match="cannot listen on 192.0.2.77"):
        transport.start()


def test_all_addresses_can_be_listened_on_and_one_is_told() -> None:
    with Transport(
        new_keys(), deliver=lambda _: None, bind_host="0.0.0.0", advertise_host="lab-pc"
    ) as transport:
        assert transport.start().control.startswith("tcp://lab-pc:")


def test_a_payload_that_is_not_what_its_header_says_is_the_callers_mistake(party: MakeParty) -> None:
    a, b = party(), party()
    with pytest.raises(InternalError, match="a payload of 3 bytes"):
        a.transport.send_blob(b.id, header_of(b"four"), b"abc")


def test_close_is_quick_in_the_middle_of_transfers_and_may_be_repeated(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.send_blob(b, bytes(100_000_000))
    b.send_blob(a, bytes(100_000_000))
    wait_until(lambda: a.count(Tally.FRAME_BYTES_RECEIVED) > 0, "on its way")
    begin = time.monotonic()
    a.transport.close()
    a.transport.close()
    assert time.monotonic() - begin < 5.0
    a.transport.send(b.id, note())
    a.send_blob(b, b"too late")


def test_close_does_not_wait_for_peers_that_cannot_be_reached(party: MakeParty) -> None:
    a = party()
    a.transport.set_peers({new_keys().public: PeerAddress("tcp://127.0.0.1:9", "tcp://127.0.0.1:9")})
    begin = time.monotonic()
    a.transport.close()
    assert time.monotonic() - begin < 5.0


def test_the_last_message_before_close_still_leaves(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.transport.send(b.id, note(1))
    b.next_message()
    a.transport.send(b.id, note(2))
    a.transport.close()
    assert b.next_message().message == note(2)


def test_a_receiver_that_stops_taking_does_not_hold_its_sender() -> None:
    release = threading.Event()
    held = threading.Event()

    def hold(_: object) -> None:
        held.set()
        release.wait(30)

    a = Party()
    keys = new_keys()
    slow = Transport(keys, deliver=hold)
    address = slow.start()
    try:
        slow.set_peers({a.id: a.address})
        a.transport.set_peers({keys.public: address})
        a.transport.send(keys.public, note())
        assert held.wait(20)
        for index in range(3):
            payload = bytes(30_000_000)
            a.transport.send_blob(keys.public, header_of(payload, index), payload)
        begin = time.monotonic()
        a.transport.close()
        assert time.monotonic() - begin < 5.0
    finally:
        release.set()
        slow.close()


def test_a_deliver_that_raises_is_reported_by_the_next_call() -> None:
    failed = threading.Event()

    def fail(_: object) -> None:
        failed.set()
        raise KeyError("a defect of the owner")

    a = Party()
    keys = new_keys()
    broken = Transport(keys, deliver=fail)
    address = broken.start()
    broken.set_peers({a.id: a.address})
    a.transport.set_peers({keys.public: address})
    a.transport.send(keys.public, note())
    assert failed.wait(20)
    with pytest.raises(InternalError, match="a defect of the owner"):
        broken.close()
    a.transport.close()


def test_a_transport_that_was_not_started_says_so() -> None:
    transport = Transport(new_keys(), deliver=lambda _: None)
    with pytest.raises(InternalError, match="not been started"):
        transport.send(new_keys().public, note())
    transport.close()


def test_a_port_that_something_else_answered_on_is_dialled_again_when_the_peer_is_there(
    party: MakeParty,
) -> None:
    a, b = party(), party()
    b.transport.close()
    with zmq.Context() as context:  # ending it frees the port for sure
        squatter = context.socket(zmq.ROUTER)
        squatter.bind(b.address.control)
        wait_for_event(
            squatter,
            lambda: a.know(b),
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
            zmq.EVENT_DISCONNECTED,
        )
        squatter.close(linger=0)
    a.transport.send(b.id, note(1))
    back = party(keys=b.keys, address=b.address)
    back.know(a)
    assert back.next_message().message == note(1)


def test_many_threads_may_send_at_once(party: MakeParty) -> None:
    a, b = party(), party()
    a.know(b)
    b.know(a)
    a.transport.send(b.id, note(0))
    b.next_message()
    threads = [
        threading.Thread(target=lambda index=index: a.send_blob(b, bytes([index]) * 100_000, index))
        for index in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arrived = [b.next_blob() for _ in range(20)]
    assert {blob.header.index for blob in arrived} == set(range(20))
    assert all(blob.payload == bytes([blob.header.index]) * 100_000 for blob in arrived)
