"""Peers and strangers that take their time: what they can hold on to is bounded, and the others go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import blake3
import pytest
import zmq

from p2pgan.protocol.messages import BlobHeader, Heartbeat, Phase
from p2pgan.transport import BulkLimits, PeerAddress, Tally, codec
from p2pgan.transport.connections import MOST_SILENT
from p2pgan.transport.limits import FRAME_BYTES
from p2pgan.transport.seal import FrameKind, Sealer
from tests.attacks.scene import acquaint, endpoint, offer, resident_bytes, still_serves
from tests.contract.transport.parties import Party, RawPeer, header_of, wait_until

MakeParty = Callable[..., Party]
BLOB = os.urandom(8 << 20)
CROWD = 400


def exchange(target: Party, honest: Party) -> None:
    """A blob each way, at the same time."""
    target.send_blob(honest, BLOB)
    honest.send_blob(target, BLOB)
    assert target.next_blob().payload == BLOB
    assert honest.next_blob().payload == BLOB


def never_read(raw: RawPeer) -> tuple[PeerAddress, zmq.Socket[bytes]]:
    """Where the raw peer listens, completes handshakes, and takes nothing."""
    sink = raw.context.socket(zmq.ROUTER)
    sink.rcvhwm = 1
    sink.curve_server = True
    sink.curve_secretkey = raw.keys.secret.encode()
    port = sink.bind_to_random_port("tcp://127.0.0.1")
    return PeerAddress(f"tcp://127.0.0.1:{port}", raw.address.bulk), sink


@pytest.mark.parametrize("port", ["control", "bulk"])
@pytest.mark.parametrize("greeting", [b"", b"\xff" + bytes(8) + b"\x7f"], ids=["silent", "half a greeting"])
def test_half_open_handshakes_do_not_pile_up(party: MakeParty, port: str, greeting: bytes) -> None:
    target, honest = party(), party()
    acquaint(target, honest)
    with ExitStack() as stack:
        for _ in range(CROWD):
            place = endpoint(getattr(target.address, port))
            connection = stack.enter_context(socket.create_connection(place, timeout=20))
            connection.sendall(greeting)
        # Beside the crowd, the honest peer's own connections may say nothing yet: two for each in the table.
        target.wait_for_count(Tally.CROWD_DENIED, CROWD - MOST_SILENT - 2)
        exchange(target, honest)
        still_serves(target, honest)
    assert target.transport.offences() == {}


def test_a_reader_that_never_reads_holds_no_more_than_its_queue(party: MakeParty, raw: RawPeer) -> None:
    limits = BulkLimits(max_blob_bytes=1 << 20, max_queued_bytes=4 << 20)
    target, honest = party(limits=limits), party()
    raw.router.close(linger=0)
    raw.address, raw.router = never_read(raw)
    acquaint(target, honest, raw)
    piece = BLOB[: 1 << 20]
    for number in range(64):
        target.transport.send_blob(raw.id, header_of(piece, number), piece)
    long = Heartbeat(run="r", term=0, version=0, digest="0" * (64 << 10), phase=Phase.IDLE)
    before = resident_bytes()

    def flood() -> bool:
        for _ in range(20):
            target.transport.send(raw.id, long)
        return target.count(Tally.QUEUE_FULL) >= 60 + 500

    # The kernel and libzmq take some, and again after every reconnection; our queue keeps the newest of
    # the rest, and the oldest give way.
    wait_until(flood, "the queue gives way")
    assert resident_bytes() - before < 128 << 20
    target.send_blob(honest, piece)
    assert honest.next_blob().payload == piece
    still_serves(target, honest)


def test_a_sender_that_stalls_in_mid_shard_holds_one_buffer_that_is_not_even_there(
    party: MakeParty, raw: RawPeer
) -> None:
    target, honest = party(), party()
    acquaint(target, honest, raw)
    key = offer()
    raw.agree(raw.control_to(target), key)
    bulk, sealer = raw.bulk_to(target, key.key_id), Sealer(key.key_id, key.key, window=2)
    promised = BlobHeader(
        run="r", term=1, kind=header_of(b"").kind, round=1, attempt=0, index=0, codec="fp32",
        length=BulkLimits().max_blob_bytes, digest=blake3.blake3(b"never").hexdigest(),
    )  # fmt: skip
    before = resident_bytes()
    bulk.send(bytes(sealer.seal(FrameKind.BEGIN, codec.encode(promised))))
    bulk.send(bytes(sealer.seal(FrameKind.PART, BLOB[:FRAME_BYTES])))
    target.wait_for_count(Tally.FRAME_BYTES_RECEIVED, FRAME_BYTES)
    exchange(target, honest)
    assert resident_bytes() - before < 256 << 20
    # It may go on whenever it likes; and begin anew, which gives the first one up.
    begin = codec.encode(header_of(b"late"))
    bulk.send(bytes(sealer.seal(FrameKind.BEGIN, begin)))
    bulk.send(bytes(sealer.seal(FrameKind.PART, b"late")))
    assert target.next_blob().payload == b"late"
    assert target.count(Tally.BLOB_INTERRUPTED) == 1
    still_serves(target, honest)


def test_what_is_cut_off_is_closed(party: MakeParty) -> None:
    """The crowd must not use up the descriptors that files and honest connections need."""
    target, honest = party(), party()
    acquaint(target, honest)
    own = Path("/proc/self/fd")
    with ExitStack() as stack:
        before = len(list(own.iterdir()))
        for _ in range(CROWD):
            stack.enter_context(socket.create_connection(endpoint(target.address.control), timeout=20))
        target.wait_for_count(Tally.CROWD_DENIED, CROWD - MOST_SILENT - 2)
        # Our ends stay; of the others' there are no more than the bound, and some on their way.
        wait_until(
            lambda: len(list(own.iterdir())) - before - CROWD < MOST_SILENT + 32,
            "the others' ends are closed",
        )
        still_serves(target, honest)
