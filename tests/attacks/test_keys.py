"""Who speaks is known by key alone: whatever else a connection says about itself changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import zmq

from p2pgan.transport import MessageArrived, PeerAddress, Tally, codec, new_keys
from p2pgan.transport.seal import FrameKind, Sealer
from tests.attacks.scene import Recorder, acquaint, hung_up, offer, replay, still_serves, through
from tests.contract.transport.parties import Party, RawPeer, header_of, note, wait_for_event, wait_until

MakeParty = Callable[..., Party]
FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_DISCONNECTED,
)


def test_a_public_key_without_its_secret_does_not_get_in(party: MakeParty, raw: RawPeer) -> None:
    target, honest = party(), party()
    acquaint(target, honest)
    thief = raw.dealer()
    thief.curve_serverkey = target.id.encode()
    thief.curve_publickey = honest.id.encode()
    thief.curve_secretkey = raw.keys.secret.encode()

    def speak() -> None:
        thief.connect(target.address.control)
        thief.send(codec.encode(note(1)))

    wait_for_event(thief, speak, *FAILED)
    assert target.count(Tally.STRANGER_DENIED) == 0
    still_serves(target, honest)


def test_a_key_that_the_table_gives_another_address_hears_nothing_there(
    party: MakeParty, raw: RawPeer
) -> None:
    """Whoever rewrites an address gets the dialer's connection, and no word over it."""
    honest, victim = party(), new_keys()

    def misled() -> None:
        honest.transport.set_peers({victim.public: PeerAddress(raw.address.control, raw.address.bulk)})
        honest.transport.send(victim.public, note(1))

    wait_for_event(raw.router, misled, *FAILED)
    assert not raw.router.poll(0)
    assert honest.count(Tally.MESSAGES_SENT) == 0


@pytest.mark.parametrize("chosen", ["the honest peer's key", "another's routing id", "empty"])
def test_a_routing_id_of_ones_own_choice_means_nothing(party: MakeParty, raw: RawPeer, chosen: str) -> None:
    target, honest = party(), party()
    acquaint(target, honest, raw)
    dealers = [raw.dealer() for _ in range(2)]
    for dealer in dealers:
        dealer.curve_serverkey = target.id.encode()
        dealer.curve_publickey = raw.id.encode()
        dealer.curve_secretkey = raw.keys.secret.encode()
        if chosen != "empty":
            dealer.routing_id = honest.id.encode() if chosen.startswith("the honest") else b"taken"
    dealers[0].connect(target.address.control)
    dealers[0].send(codec.encode(note(1)))
    assert target.next_message() == MessageArrived(raw.id, note(1))
    dealers[1].connect(target.address.control)
    dealers[1].send(codec.encode(note(2)))
    dealers[0].send(codec.encode(note(3)))
    # Under a routing id that is taken the second connection may be turned away; without one it may not.
    arrived = [target.next_message()]
    if arrived[0].message == note(2) or chosen == "empty":
        arrived.append(target.next_message())
    assert {each.sender for each in arrived} == {raw.id}
    still_serves(target, honest)


def test_another_peers_bulk_key_is_of_no_use(party: MakeParty, raw: RawPeer) -> None:
    target, honest, thief = party(), party(), RawPeer()
    try:
        acquaint(target, honest, raw, thief)
        stolen, own = offer(1), offer(2)
        raw.agree(raw.control_to(target), stolen)
        thief.agree(thief.control_to(target), own)
        sealer = Sealer(stolen.key_id, stolen.key, window=2)
        bulk = thief.bulk_to(target, own.key_id)
        bulk.send(bytes(sealer.seal(FrameKind.BEGIN, codec.encode(header_of(b"evil")))))
        bulk.send(bytes(sealer.seal(FrameKind.PART, b"evil")))
        target.wait_for_count(Tally.FRAME_FORGED, 2)
        assert target.transport.offences() == {thief.id: 2}
        still_serves(target, honest)
    finally:
        thief.close()


def test_a_thousand_replays_of_recorded_traffic_change_nothing(party: MakeParty) -> None:
    target, honest = party(), party()
    recorders = (Recorder(target.address.control), Recorder(target.address.bulk))
    try:
        target.know(honest)
        honest.transport.set_peers({target.id: through(recorders)})
        payload = bytes(range(256)) * 40
        honest.transport.send(target.id, note(5))
        assert target.next_message() == MessageArrived(honest.id, note(5))
        honest.send_blob(target, payload)
        assert target.next_blob().payload == payload
        wait_until(lambda: honest.count(Tally.BLOBS_SENT) == 1, "the blob is acknowledged")
        control, bulk = (recorder.said for recorder in recorders)
        assert len(control) > 400
        assert len(bulk) > len(payload)
        before = {name: target.count(name) for name in (Tally.MESSAGES_RECEIVED, Tally.BLOBS_RECEIVED)}
        denied = target.count(Tally.BULK_DENIED)
        for _ in range(500):
            hung_up(replay(target.address.control, control))
        refused = [replay(target.address.bulk, bulk) for _ in range(500)]
        target.wait_for_count(Tally.BULK_DENIED, denied + 500)
        for connection in refused:
            connection.close()
        assert {name: target.count(name) for name in before} == before
        assert target.arrived_so_far() == []
        assert target.transport.offences() == {}
        still_serves(target, honest)
    finally:
        for recorder in recorders:
            recorder.close()
