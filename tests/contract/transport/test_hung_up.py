"""A peer that was too busy, or asleep, to read what was sent, while the sender hung up."""

from __future__ import annotations

import multiprocessing
import threading

import zmq

from p2pgan.protocol.ids import Span
from p2pgan.protocol.messages import Heartbeat, Phase
from p2pgan.transport import Arrival, MessageArrived, Transport, codec, new_keys
from tests.contract.transport.parties import PATIENCE_S, Party, RawPeer, note, wait_until

STUCK_MS = 500
HEARTBEAT_S = 1.5
"""libzmq's heartbeats used to come every second; the first one after the end was fatal."""


class Busy(Party):
    """Stops reading at its second message."""

    def __init__(self) -> None:
        self.keys = new_keys()
        self.wakes_up = threading.Event()
        self.taken: list[Arrival] = []
        self.transport = Transport(self.keys, deliver=self._deliver, control_port=0, bulk_port=0)
        self.address = self.transport.start()

    def _deliver(self, arrival: Arrival) -> None:
        self.taken.append(arrival)
        if len(self.taken) == 2:
            self.wakes_up.wait(PATIENCE_S)


def hang_up_on_a_busy_peer() -> None:
    """Ends by SIGABRT if libzmq comes upon the end of the connection unprepared."""
    busy, raw = Busy(), RawPeer()
    busy.know(raw)
    dealer = raw.control_to(busy)
    spans = tuple(Span(0, 0, number, number + 1) for number in range(8000))
    long = codec.encode(Heartbeat(run="r", term=0, version=0, digest="", phase=Phase.IDLE, held=spans))
    while dealer.poll(STUCK_MS, zmq.POLLOUT):
        dealer.send(long)
    raw.close()
    threading.Event().wait(HEARTBEAT_S)
    busy.wakes_up.set()
    sender = RawPeer()
    sender.keys = raw.keys
    sender.control_to(busy).send(codec.encode(note(7)))
    wait_until(lambda: MessageArrived(raw.id, note(7)) in busy.taken, "it reads on")
    sender.close()
    busy.transport.close()


def test_who_hangs_up_on_a_busy_peer_does_not_end_it() -> None:
    # In a process of its own: an assertion of libzmq would end this one.
    child = multiprocessing.get_context("spawn").Process(target=hang_up_on_a_busy_peer)
    child.start()
    child.join()
    assert child.exitcode == 0
