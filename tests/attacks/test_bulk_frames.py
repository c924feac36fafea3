"""Sealed frames broken on purpose, over real sockets: each is accounted for, and the bulk channel goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import zmq

from p2pgan.transport import BulkLimits, Tally, codec
from p2pgan.transport.inbound import Inbound
from p2pgan.transport.keying import SealOffer
from p2pgan.transport.seal import FrameKind, Sealer, parse_header
from p2pgan.transport.tally import OFFENCES, Refused
from tests.attacks.scene import acquaint, offer, resident_bytes, still_serves
from tests.attacks.test_frames import broken
from tests.contract.transport.parties import Party, RawPeer, header_of, wait_for_event

MakeParty = Callable[..., Party]
BLOBS = 1500
LIMITS = BulkLimits(max_blob_bytes=1 << 20)
MOST_MEMORY = 64 << 20
"""For frames that are together a hundredth of it, sender and receiver in one process."""
REASONS = (*OFFENCES, Tally.FRAME_UNKNOWN_KEY, Tally.BLOB_INTERRUPTED)


def frames(draw: random.Random, key: SealOffer) -> list[bytes]:
    """Two frames for each of many blobs: headers broken before they are sealed, frames broken after."""
    sealer, made = Sealer(key.key_id, key.key, window=1), []
    for index in range(BLOBS):
        payload = draw.randbytes(draw.randint(1, 300))
        header = codec.encode(header_of(payload, index))
        if draw.random() < 0.3:
            header = broken(draw, header)
        for kind, plain in ((FrameKind.BEGIN, header), (FrameKind.PART, payload)):
            frame = bytes(sealer.seal(kind, plain))
            made.append(broken(draw, frame) if draw.random() < 0.3 else frame)
            if draw.random() < 0.05:
                made.append(draw.choice(made))  # again
    return made


def expected(sent: list[bytes], key: SealOffer) -> tuple[Counter[Tally], list[bytes]]:
    """Why frames are dropped, and the blobs that come through, by the same rules without a socket."""
    tally: Counter[Tally] = Counter()
    inbound, blobs = Inbound("mallory", key, LIMITS, tally), []
    for frame in sent:
        try:
            header = parse_header(memoryview(frame))
            if header.key_id != key.key_id:
                raise Refused(Tally.FRAME_UNKNOWN_KEY, "another key")
            blob = inbound.receive(memoryview(frame), header)
        except Refused as refused:
            tally[refused.reason] += 1
        else:
            blobs += [bytes(blob.payload)] if blob is not None else []
    return tally, blobs


def test_broken_bulk_frames_over_a_socket_are_all_accounted_for(party: MakeParty, raw: RawPeer) -> None:
    target, honest = party(limits=LIMITS), party(limits=LIMITS)
    acquaint(target, honest, raw)
    key = offer()
    sent = frames(random.Random(11), key)
    dropped, blobs = expected(sent, key)
    assert len(blobs) > BLOBS / 10
    assert all(dropped[reason] for reason in REASONS if reason not in (Tally.ENDLESS, Tally.BLOB_TOO_LONG))
    raw.agree(raw.control_to(target), key)
    bulk = raw.bulk_to(target, key.key_id)
    before = resident_bytes()
    for frame in sent:
        bulk.send(frame)
    arrived = [target.next_blob() for _ in blobs]
    for reason in REASONS:
        target.wait_for_count(reason, dropped[reason])
    assert [bytes(blob.payload) for blob in arrived] == blobs
    assert {blob.sender for blob in arrived} == {raw.id}
    assert {reason: target.count(reason) for reason in REASONS} == {r: dropped[r] for r in REASONS}
    assert target.transport.offences() == {raw.id: sum(dropped[reason] for reason in OFFENCES)}
    assert resident_bytes() - before < MOST_MEMORY
    still_serves(target, honest)


def test_a_bulk_message_of_twenty_thousand_parts_ends_its_connection(party: MakeParty, raw: RawPeer) -> None:
    target, honest = party(), party()
    acquaint(target, honest, raw)
    key = offer()
    raw.agree(raw.control_to(target), key)
    bulk, sealer = raw.bulk_to(target, key.key_id), Sealer(key.key_id, key.key, window=4)
    bulk.send(bytes(sealer.seal(FrameKind.BEGIN, codec.encode(header_of(b"")))))
    assert target.next_blob().payload == b""
    frame = bytes(sealer.seal(FrameKind.BEGIN, codec.encode(header_of(b"evil"))))
    before = resident_bytes()
    wait_for_event(bulk, lambda: bulk.send_multipart([frame] * 20_000), zmq.EVENT_DISCONNECTED)
    target.wait_for_count(Tally.ENDLESS)
    assert target.transport.offences() == {raw.id: 2}  # several parts, and far too many
    target.wait_for_count(Tally.BULK_DENIED)  # it tries again at once
    assert resident_bytes() - before < MOST_MEMORY
    payload = bytes(range(256)) * 4096
    honest.send_blob(target, payload)
    assert target.next_blob().payload == payload
    still_serves(target, honest)
