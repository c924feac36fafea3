"""How fast a peer sends, from what was acknowledged."""

from __future__ import annotations

import pytest

from p2pgan.transport.meter import MEASURE_S, Meter


def transfer(meter: Meter, size: int, seconds: float, start: float) -> float:
    meter.sent(size, start)
    meter.acknowledged(size, start + seconds)
    return start + seconds


def test_nothing_is_known_before_enough_was_sent() -> None:
    meter = Meter()
    transfer(meter, 1000, MEASURE_S / 2, 0.0)
    assert meter.bytes_per_s == 0.0


def test_the_speed_is_what_was_acknowledged_while_something_was_on_its_way() -> None:
    meter, now = Meter(), 0.0
    for _ in range(10):
        now = transfer(meter, 100_000, 0.1, now) + 7.0
    assert meter.bytes_per_s == pytest.approx(1_000_000)


def test_links_that_send_at_once_share_the_time() -> None:
    meter = Meter()
    for turn in range(20):
        for _ in range(2):
            meter.sent(50_000, float(turn))
        for _ in range(2):
            meter.acknowledged(50_000, turn + 0.1)
    assert meter.bytes_per_s == pytest.approx(2 * 50_000 / 0.1, rel=0.01)


def test_a_link_that_slows_down_is_noticed() -> None:
    meter, now = Meter(), 0.0
    for seconds in [0.1] * 5 + [1.0] * 20:
        now = transfer(meter, 100_000, seconds, now)
    assert meter.bytes_per_s == pytest.approx(100_000, rel=0.01)


def test_what_is_lost_took_time_and_was_not_sent() -> None:
    meter = Meter()
    meter.sent(100_000, 0.0)
    meter.sent(100_000, 0.0)
    meter.acknowledged(100_000, 0.1)
    meter.lost(100_000, 1.0)
    assert meter.bytes_per_s < 1_000_000
