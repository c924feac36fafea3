from __future__ import annotations

from p2pgan.peer.lending import RECENT_S, Lending


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_chunk_counts_once_and_all_of_them_end_it() -> None:
    lending = Lending(Clock())
    for index in (0, 1, 1):
        lending.gave("ada", 7, 30, index, 10)
    (lent,) = lending.under_way()
    assert (lent.to, lent.sent, lent.length) == ("ada", 20, 30)
    lending.gave("ada", 7, 30, 2, 10)
    assert lending.under_way() == []


def test_another_version_begins_anew() -> None:
    lending = Lending(Clock())
    lending.gave("ada", 7, 30, 0, 10)
    lending.gave("ada", 8, 30, 0, 10)
    assert [(lent.version, lent.sent) for lent in lending.under_way()] == [(8, 10)]


def test_who_asks_for_nothing_more_is_forgotten() -> None:
    clock = Clock()
    lending = Lending(clock)
    lending.gave("ada", 7, 30, 0, 10)
    clock.now = RECENT_S + 0.1
    assert lending.under_way() == []
