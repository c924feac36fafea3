from __future__ import annotations

from p2pgan.peer.traffic import RoundTraffic
from p2pgan.protocol.metrics import Traffic


class Wire:
    """Counts as a transport does."""

    def __init__(self) -> None:
        self.sent = self.received = 0

    def moves(self, sent: int, received: int) -> None:
        self.sent, self.received = self.sent + sent, self.received + received

    def total(self) -> Traffic:
        return Traffic(self.sent, self.received)


def test_every_byte_counts_in_one_version() -> None:
    wire = Wire()
    traffic = RoundTraffic(wire.total)
    wire.moves(10, 20)
    assert traffic.voted() == Traffic(10, 20)
    wire.moves(1, 0)  # a result that is late for the vote
    traffic.applied()
    wire.moves(5, 6)
    assert traffic.voted() == Traffic(6, 6)


def test_a_round_tried_again_counts_with_all_its_attempts() -> None:
    wire = Wire()
    traffic = RoundTraffic(wire.total)
    wire.moves(10, 10)
    traffic.voted()
    wire.moves(7, 7)
    assert traffic.voted() == Traffic(17, 17)


def test_what_a_snapshot_took_is_of_no_round() -> None:
    wire = Wire()
    traffic = RoundTraffic(wire.total)
    wire.moves(0, 1_000_000)
    traffic.installed()
    wire.moves(3, 4)
    assert traffic.voted() == Traffic(3, 4)
