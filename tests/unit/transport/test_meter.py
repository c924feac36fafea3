"""How fast a peer's uplink is, from what its links deliver."""

from __future__ import annotations

import pytest

from p2pgan.transport.meter import KEPT_S, MEASURE_S, LinkMeter, Meter

MB = 1_000_000


def transfer(link: LinkMeter, size: int, seconds: float, start: float) -> float:
    link.sent(size, start)
    link.acknowledged(size, start + seconds)
    return start + seconds


def test_nothing_is_known_before_enough_was_sent() -> None:
    meter = Meter()
    transfer(meter.link(), 1000, MEASURE_S / 2, 0.0)
    assert meter.bytes_per_s == 0.0


def test_the_speed_is_what_was_acknowledged_while_something_was_on_its_way() -> None:
    meter, now = Meter(), 0.0
    link = meter.link()
    for _ in range(10):
        now = transfer(link, 100_000, 0.1, now) + 7.0
    assert meter.bytes_per_s == pytest.approx(MB)


@pytest.mark.parametrize("links", [2, 5])
def test_links_that_send_at_once_share_the_uplink(links: int) -> None:
    meter = Meter()
    all_links = [meter.link() for _ in range(links)]
    for turn in range(20):
        for link in all_links:
            link.sent(50_000, float(turn))
        for place, link in enumerate(all_links, start=1):
            link.acknowledged(50_000, turn + 0.1 * place / links)
    assert meter.bytes_per_s == pytest.approx(links * 50_000 / 0.1, rel=0.01)


def test_links_that_send_in_turn_are_not_added_up() -> None:
    meter, now = Meter(), 0.0
    links = [meter.link() for _ in range(4)]
    for turn in range(40):
        now = transfer(links[turn % 4], 100_000, 0.1, now)
    assert meter.bytes_per_s == pytest.approx(MB)


def test_an_uplink_that_slows_down_is_noticed() -> None:
    meter, now = Meter(), 0.0
    link = meter.link()
    for seconds in [0.1] * 5 + [1.0] * 20:
        now = transfer(link, 100_000, seconds, now)
    assert meter.bytes_per_s == pytest.approx(100_000, rel=0.01)


def test_an_uplink_that_slows_down_is_noticed_beside_a_link_that_is_not_used_any_more() -> None:
    meter = Meter()
    now = transfer(meter.link(), MB, 0.1, 0.0)
    left = meter.link()
    for _ in range(200):
        now = transfer(left, 100_000, 1.0, now)
    assert now > KEPT_S
    assert meter.bytes_per_s == pytest.approx(100_000, rel=0.01)


def test_a_peer_that_stands_still_does_not_slow_the_others() -> None:
    meter, now = Meter(), 0.0
    frozen, other = meter.link(), meter.link()
    for _ in range(16):
        frozen.sent(MB, now)
    for _ in range(6):
        now = transfer(other, 2 * MB, 0.02, now) + 4.98
    frozen.lost()
    assert meter.bytes_per_s == pytest.approx(100 * MB, rel=0.01)


def test_what_a_peer_had_while_it_stood_still_does_not_count_for_the_moment_it_wakes_up() -> None:
    meter, now = Meter(), 0.0
    frozen, other = meter.link(), meter.link()
    frozen.sent(16 * MB, now)
    now = transfer(other, 10 * MB, 0.1, 20.0)
    other.sent(10 * MB, now)
    frozen.acknowledged(16 * MB, now + 0.05)
    other.acknowledged(10 * MB, now + 0.1)
    assert meter.bytes_per_s == pytest.approx(100 * MB, rel=0.01)


def test_a_receiver_behind_a_slow_line_does_not_slow_the_others() -> None:
    meter = Meter()
    slow, fast = meter.link(), meter.link()
    slow.sent(16 * MB, 0.0)
    for turn in range(20):
        slow.sent(MB, turn * 1.5)
        for _ in range(4):
            fast.sent(MB, turn * 1.5)
        for frame in range(4):
            fast.acknowledged(MB, turn * 1.5 + 0.01 * (frame + 1))
        slow.acknowledged(MB, turn * 1.5 + 1.0)
    assert meter.bytes_per_s == pytest.approx(100 * MB, rel=0.02)


def test_what_goes_to_a_slow_receiver_counts_beside_the_rest() -> None:
    meter = Meter()
    slow, fast = meter.link(), meter.link()
    slow.sent(100 * MB, 0.0)
    fast.sent(100 * MB, 0.0)
    for tenth in range(1, 51):
        fast.acknowledged(MB, tenth / 10)
        slow.acknowledged(MB // 4, tenth / 10)
    assert meter.bytes_per_s == pytest.approx(12.5 * MB, rel=0.05)


def test_what_is_lost_says_nothing() -> None:
    meter = Meter()
    link, other = meter.link(), meter.link()
    now = transfer(link, 100_000, 0.1, 0.0)
    link.sent(100_000, now)
    now = transfer(other, 100_000, 0.1, now)
    link.lost()
    transfer(link, 100_000, 0.1, now + 30.0)
    assert meter.bytes_per_s == pytest.approx(MB)
