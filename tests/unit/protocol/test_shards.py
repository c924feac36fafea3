"""Who reduces which part of the vector."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pgan.protocol.messages import MAX_MEMBERS
from p2pgan.protocol.shards import (
    LARGEST_SHARD,
    MOST_OF_IT,
    SHARD_ALIGNMENT,
    cut_shards,
    equal_shares,
    shares_by_uplink,
)


@given(st.integers(1, 10**7), st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=20, unique=True))
def test_shards_cover_the_vector_without_gap_or_overlap(size: int, owners: list[str]) -> None:
    shards = cut_shards(size, equal_shares(owners))

    assert shards[0].start == 0 and shards[-1].stop == size
    assert all(a.stop == b.start for a, b in zip(shards, shards[1:], strict=False))
    assert all(s.start < s.stop for s in shards)
    assert len(set(Counter(s.owner for s in shards).values())) == 1, "as many for each owner"
    assert all(s.stop - s.start <= LARGEST_SHARD + SHARD_ALIGNMENT for s in shards)
    assert len(shards) <= MAX_MEMBERS


@given(
    st.integers(2, 10**7),
    st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=20, unique=True),
    st.floats(0.0, 1.0),
)
def test_no_shard_reaches_over_a_border(size: int, owners: list[str], at: float) -> None:
    border = int(at * size)

    shards = cut_shards(size, equal_shares(owners), border)

    assert shards[0].start == 0 and shards[-1].stop == size
    assert all(a.stop == b.start for a, b in zip(shards, shards[1:], strict=False))
    assert not any(s.start < border < s.stop for s in shards)
    apart = [[s for s in shards if (s.start < border) is before] for before in (True, False)]
    assert all(len(set(Counter(s.owner for s in part).values())) <= 1 for part in apart), "as many each"


def test_a_small_vector_has_one_shard_for_each_owner() -> None:
    assert [s.owner for s in cut_shards(3 * LARGEST_SHARD, equal_shares(["a", "b", "c"]))] == ["a", "b", "c"]


def test_owners_take_turns_in_a_large_vector() -> None:
    assert [s.owner for s in cut_shards(4 * LARGEST_SHARD, equal_shares(["a", "b"]))] == ["a", "b", "a", "b"]


def test_the_largest_vectors_have_no_more_shards_than_a_plan_holds() -> None:
    for border in (0, 2**39, 5):
        assert len(cut_shards(2**40, equal_shares(["a", "b", "c"]), border)) <= MAX_MEMBERS


def sends_s(
    shares: dict[str, float], uplinks: dict[str, float], contributors: set[str], members: int
) -> float:
    """Seconds that the last one is done after, for a vector of one byte."""
    return max(
        ((peer in contributors) * (1 - share) + share * (members - 1)) / uplinks[peer]
        for peer, share in shares.items()
    )


UPLINKS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(1.0, 100.0), min_size=3, max_size=8)


@given(UPLINKS, st.data())
def test_no_other_shares_are_sent_sooner(uplinks: dict[str, float], data: st.DataObject) -> None:
    contributors = data.draw(st.sets(st.sampled_from(sorted(uplinks))))
    riders = data.draw(st.integers(0, 5))
    members = len(uplinks) + riders

    shares = shares_by_uplink(uplinks, contributors, members)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= 0.0
    best = sends_s(shares, uplinks, contributors, members)
    assert best <= sends_s(equal_shares(uplinks), uplinks, contributors, members) * (1 + 1e-9)
    # The programme is convex: what no small move between two owners makes better is the best there is.
    for giver in uplinks:
        for taker in uplinks:
            moved = dict(shares)
            step = min(0.01, moved[giver], max(0.0, MOST_OF_IT - moved[taker]))
            moved[giver] -= step
            moved[taker] += step
            assert best <= sends_s(moved, uplinks, contributors, members) * (1 + 1e-9)


def test_an_owner_with_a_slow_line_reduces_less() -> None:
    shares = shares_by_uplink({"a": 10e6, "b": 10e6, "slow": 1e6}, {"a", "b"}, 3)
    assert shares["a"] == pytest.approx(shares["b"])
    # The one that does not contribute sends results alone: two vectors' worth of its share.
    assert 2 * shares["slow"] / 1e6 == pytest.approx((1 + shares["a"]) / 10e6)


def test_who_has_no_time_to_spare_owns_nothing() -> None:
    """Its own contribution takes it longer than all else takes the others."""
    shares = shares_by_uplink({"a": 8.0, "b": 8.0, "c": 8.0, "slow": 1.0}, {"a", "b", "c", "slow"}, 4)
    assert shares["slow"] == 0.0
    assert {shard.owner for shard in cut_shards(10**6, shares)} == {"a", "b", "c"}


def test_of_two_each_sends_one_vector_whatever_it_owns() -> None:
    assert shares_by_uplink({"a": 1e9, "b": 1.0}, {"a", "b"}, 2) == {"a": 0.5, "b": 0.5}


def test_what_a_peer_says_of_its_line_does_not_make_it_the_owner_of_everything() -> None:
    honest = dict.fromkeys("abcd", 1e6)
    assert shares_by_uplink({**honest, "mallory": 1e18}, {*honest, "mallory"}, 5)["mallory"] == MOST_OF_IT


def test_who_has_not_been_measured_counts_as_the_others() -> None:
    shares = shares_by_uplink({"a": 1e6, "b": 0.0, "c": 1e6}, {"a", "b", "c"}, 3)
    assert list(shares.values()) == pytest.approx([1 / 3] * 3)


@given(
    st.integers(1, 10**7),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20).filter(lambda s: sum(s) > 0.1),
)
def test_unequal_shards_cover_the_vector_as_well(size: int, parts: list[float]) -> None:
    shares = {f"p{index}": part / sum(parts) for index, part in enumerate(parts)}
    shards = cut_shards(size, shares)

    assert shards[0].start == 0 and shards[-1].stop == size
    assert all(a.stop == b.start for a, b in zip(shards, shards[1:], strict=False))
    assert all(s.start < s.stop for s in shards)
    assert len(shards) <= MAX_MEMBERS
    owned = Counter({peer: 0 for peer in shares})
    for shard in shards:
        owned[shard.owner] += shard.stop - shard.start
    assert all(abs(owned[peer] - share * size) <= 2 * SHARD_ALIGNMENT for peer, share in shares.items())
