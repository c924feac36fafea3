"""What one other peer can leave in the inbox is bounded; what this process itself puts there is not."""

from __future__ import annotations

import pytest

from p2pgan.peer.inbox import MOST_WAITING, MOST_WAITING_BYTES, Inbox
from p2pgan.protocol.events import Tick
from p2pgan.protocol.messages import BlobHeader, BlobKind, Leaving
from p2pgan.transport import BlobArrived, MessageArrived, StrangerSeen

NOTE = Leaving(run="r", term=0)


def blob(sender: str, size: int) -> BlobArrived:
    header = BlobHeader(
        run="r",
        term=0,
        kind=BlobKind.SLICE,
        round=1,
        attempt=0,
        index=0,
        codec="fp32",
        length=size,
        digest="",
    )
    return BlobArrived(sender, header, memoryview(bytearray(size)))


def drain(inbox: Inbox) -> int:
    taken = 0
    while not inbox.empty():
        inbox.get()
        taken += 1
    return taken


def test_a_flood_of_one_sender_is_dropped_and_counted_and_leaves_room_for_others() -> None:
    inbox = Inbox()
    for _ in range(MOST_WAITING + 10):
        inbox.deliver(MessageArrived("mallory", NOTE))
    inbox.deliver(MessageArrived("honest", NOTE))
    inbox.deliver(StrangerSeen("k"))
    inbox.put(Tick())
    assert inbox.floods == {"mallory": 10}
    assert drain(inbox) == MOST_WAITING + 3


def test_room_comes_back_as_things_are_looked_at() -> None:
    inbox = Inbox()
    for _ in range(3):
        for _ in range(MOST_WAITING):
            inbox.deliver(MessageArrived("a", NOTE))
        assert drain(inbox) == MOST_WAITING
    assert not inbox.floods


def test_payloads_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_WAITING_BYTES >= 1 << 28
    monkeypatch.setattr("p2pgan.peer.inbox.MOST_WAITING_BYTES", 1000)
    inbox = Inbox()
    for size in (5000, 10):
        inbox.deliver(blob("a", size))
    inbox.deliver(blob("b", 600))
    inbox.deliver(blob("b", 400))
    assert inbox.floods == {"a": 1}, "a single one may be longer"
    assert drain(inbox) == 3
    inbox.deliver(blob("a", 10))
    assert drain(inbox) == 1
