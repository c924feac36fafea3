"""Shares of work, shards and succession."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pgan.protocol.shares import (
    MOST_MEDIANS,
    Bounds,
    by_rendezvous_hash,
    deal_parts,
    most_images,
    straggler_deadline,
    usual_images,
    work_images,
)


def test_an_unknown_speed_gets_little_work() -> None:
    assert work_images(0.0, 5.0, 64, 0, Bounds()) == 128


def test_work_follows_speed_in_whole_microbatches_and_grows_by_steps() -> None:
    assert work_images(100.0, 5.0, 64, 512, Bounds()) == 512
    assert work_images(1000.0, 5.0, 64, 128, Bounds()) == 512
    assert work_images(1.0, 5.0, 64, 512, Bounds()) == 64


def test_who_comes_late_soon_has_as_much_work_as_is_usual_if_it_is_fast_enough() -> None:
    usual = usual_images([64, 640, 0, 1280])
    assert (usual, usual_images([128, 640]), usual_images([0]), usual_images([])) == (640, 640, 0, 0)
    assert work_images(0.0, 20.0, 64, 0, Bounds(usual)) == 128
    assert work_images(30.0, 20.0, 64, 128, Bounds(usual)) == 576
    assert work_images(1000.0, 20.0, 64, 128, Bounds(usual)) == 640


def test_a_boaster_gets_no_more_than_a_multiple_of_the_median() -> None:
    work = [128, 256, 64, 256]
    for _ in range(20):
        work[3] = work_images(1e9, 5.0, 64, work[3], Bounds(most=most_images(work)))
    assert work[3] == MOST_MEDIANS * 128


def test_a_tenth_of_the_others_work_bounds_nobody_and_of_two_nobody_is_bounded() -> None:
    assert work_images(100.0, 5.0, 64, 512, Bounds(most=most_images([512, 48, 64]))) == 512
    assert most_images([64, 10**9]) == most_images([0, 64, 10**9]) == float("inf")


def test_succession_is_the_same_for_everyone_and_changes_with_the_term() -> None:
    peers = [f"peer{i}" for i in range(8)]

    assert by_rendezvous_hash("run", 3, peers) == by_rendezvous_hash("run", 3, reversed(peers))
    assert len({by_rendezvous_hash("run", term, peers)[0] for term in range(40)}) > 3


def test_a_peer_that_goes_changes_only_its_own_place() -> None:
    peers = [f"peer{i}" for i in range(8)]
    order = by_rendezvous_hash("run", 3, peers)

    assert by_rendezvous_hash("run", 3, order[:2] + order[3:]) == order[:2] + order[3:]


@given(st.integers(0, 40), st.frozensets(st.text(min_size=1, max_size=3), min_size=1, max_size=12))
def test_each_part_has_one_peer_and_peers_have_as_many_give_or_take_one(parts, peers) -> None:
    dealt = deal_parts("run", parts, peers)

    assert sorted(part for own in dealt.values() for part in own) == list(range(parts))
    assert {len(dealt[peer]) for peer in peers} <= {parts // len(peers), -(-parts // len(peers))}


def test_few_parts_change_hands_when_a_peer_comes() -> None:
    four = deal_parts("run", 100, frozenset("abcd"))
    five = deal_parts("run", 100, frozenset("abcde"))

    assert sum(len(four[peer] & five[peer]) for peer in "abcd") >= 60, "80 stay if none moves needlessly"
    assert deal_parts("run", 10, frozenset()) == {}


def test_nobody_is_late_before_half_of_the_contributors_are_done() -> None:
    assert straggler_deadline([], 2, 5.0) is None
    assert straggler_deadline([4.0], 3, 5.0) is None


def test_the_deadline_leaves_room_for_noise_and_for_a_newcomers_short_work() -> None:
    assert straggler_deadline([0.5], 2, 5.0) == 8.5
    assert straggler_deadline([8.0, 10.0, 12.0], 4, 5.0) == 19.0
