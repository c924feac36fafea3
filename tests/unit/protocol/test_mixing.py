"""Mixing: who with whom, with what weight, and when."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from p2pgan.protocol.effects import Mix, Note, ShareDeviation
from p2pgan.protocol.events import DeviationArrived, TrainingDone
from p2pgan.protocol.ids import Span
from p2pgan.protocol.messages import Member, Plan
from p2pgan.protocol.mixing import groups, push_sum_weights
from tests.unit.protocol.steps import Driver, plan_for

MIX_S = 0.5
MEMBERS = (
    Member("a", (Span(0, 0, 0, 8),), True),
    Member("b", (Span(0, 0, 8, 40),), True),
    Member("c", (), False),
)


def planned(*members: Member, **changes: object) -> tuple[Driver, Plan]:
    """A follower of b in training."""
    driver = Driver(**{"sync": "gossip", "mix_s": MIX_S, **changes})
    driver.follow("b")
    plan = plan_for(*(members or MEMBERS))
    driver.hear("b", plan)
    return driver, plan


def shared(driver: Driver) -> list[tuple[int, tuple[str, ...]]]:
    return [(e.step, e.to) for e in driver.of(ShareDeviation)]


def test_rows_and_columns_hold_everyone_once_and_are_small() -> None:
    for count in range(1, 40):
        order = [f"p{number}" for number in range(count)]
        for step in (1, 2):
            cut = groups(order, step)
            assert sorted(peer for group in cut for peer in group) == sorted(order)
            assert max(map(len, cut)) ** 2 <= count + 2 * count**0.5
        rows, columns = (groups(order, step) for step in (1, 2))
        assert all(len(set(row) & set(column)) <= 1 for row in rows for column in columns)


def mixed(
    order: Sequence[str], values: dict[str, float], images: dict[str, int], steps: int
) -> dict[str, float]:
    for step in range(1, steps + 1):
        weights = push_sum_weights(order, images, step)
        for group in groups(order, step):
            total = sum(weights[peer] for peer in group)
            mean = sum(weights[peer] * values[peer] for peer in group) / total
            values = {**values, **dict.fromkeys(group, mean)}
    return values


@pytest.mark.parametrize(("count", "steps"), [(1, 1), (4, 2), (9, 2), (16, 2), (2, 1)])
def test_push_sum_brings_everyone_to_the_weighted_mean_by_rows_and_columns(count: int, steps: int) -> None:
    draw = random.Random(count)
    order = [f"p{number}" for number in range(count)]
    images = {peer: draw.randint(1, 500) for peer in order}
    values = {peer: draw.uniform(-1, 1) for peer in order}
    mean = sum(images[p] * values[p] for p in order) / sum(images.values())

    assert mixed(order, values, images, steps) == pytest.approx(dict.fromkeys(order, mean), abs=1e-6)


@pytest.mark.parametrize("count", [3, 5, 7, 11])
def test_push_sum_keeps_the_weighted_mean_of_a_grid_that_is_not_full(count: int) -> None:
    draw = random.Random(count)
    order = [f"p{number}" for number in range(count)]
    images = {peer: draw.randint(1, 500) for peer in order}
    values = {peer: draw.uniform(-1, 1) for peer in order}
    mean = sum(images[p] * values[p] for p in order) / sum(images.values())

    after = mixed(order, values, images, 15)

    assert after == pytest.approx(dict.fromkeys(order, mean), abs=1e-3)
    last = push_sum_weights(order, images, 16)
    assert sum(last[p] * after[p] for p in order) / sum(last.values()) == pytest.approx(mean, abs=1e-6)


def test_a_contributor_shares_with_its_group_at_each_step() -> None:
    driver, _ = planned()

    driver.tick(MIX_S - 0.1)
    assert not shared(driver)
    driver.tick(0.2)

    assert shared(driver) == [(1, ("b",))], "c contributes nothing"
    driver.beat("b")
    driver.tick(MIX_S)
    assert shared(driver) == [(1, ("b",))], "a row of two has columns of one"


def test_it_moves_towards_what_arrives_by_the_senders_weight() -> None:
    driver, _ = planned()
    driver.tick(MIX_S)

    driver.give(DeviationArrived("b", 1, 0, 1))

    assert driver.of(Mix) == [Mix("b", 0, 1, 32 / 40)]


def test_what_arrives_first_begins_the_step() -> None:
    driver, _ = planned()
    driver.tick(0.1)

    driver.give(DeviationArrived("b", 1, 0, 1))

    assert [type(e) for e in driver.last] == [Note, ShareDeviation, Mix], "it answers before it moves"
    driver.tick(MIX_S)
    assert len(shared(driver)) == 1


@pytest.mark.parametrize(
    "other",
    [
        DeviationArrived("c", 1, 0, 1),
        DeviationArrived("x", 1, 0, 1),
        DeviationArrived("b", 2, 0, 1),
        DeviationArrived("b", 1, 1, 1),
        DeviationArrived("b", 1, 0, 3),
        DeviationArrived("b", 1, 0, 0),
    ],
    ids=["no contributor", "stranger", "another term", "another version", "far ahead", "long over"],
)
def test_what_does_not_belong_to_the_step_is_passed_over(other: DeviationArrived) -> None:
    driver, _ = planned()
    driver.tick(MIX_S)

    assert not driver.machine.mixing.accepts(other.sender, other.term, other.version, other.step)
    driver.give(other)

    assert not driver.of(Mix)


def test_without_a_leader_two_and_two_mix() -> None:
    driver, _ = planned(silence_s=1.0)
    for _ in range(8):
        driver.tick(0.25)
        driver.beat("c")

    told = shared(driver)[1:]
    assert {to for _, to in told} == {("c",)}, "b, the leader, is silent"
    assert driver.of(Note)[-1] == Note(
        "mixing", f"no leader is heard, two and two: step {told[-1][0]} with c"
    )
    driver.give(DeviationArrived("c", 1, 0, told[-1][0]))
    assert driver.of(Mix)[-1].share == 0.5


@pytest.mark.parametrize("sync", ["deltas", "gradients"])
def test_nothing_is_mixed_otherwise(sync: str) -> None:
    driver, _ = planned(sync=sync, mix_s=None)
    driver.tick(3.0)
    driver.give(DeviationArrived("b", 1, 0, 1))

    assert not shared(driver)
    assert not driver.of(Mix)


def test_who_trains_nothing_mixes_nothing() -> None:
    driver = Driver(sync="gossip", mix_s=MIX_S)
    driver.follow("b")
    driver.tick(3.0)

    assert not shared(driver)


def test_mixing_goes_on_while_the_round_is_exchanged() -> None:
    ahead = (Span(0, 1, 64, 72),)
    mine = Member("a", (Span(0, 0, 0, 8),), True, ahead)
    driver, _ = planned(mine, MEMBERS[1])
    driver.tick(0.1)
    driver.give(TrainingDone(driver.machine.member.ticket, 100.0))

    driver.tick(MIX_S)

    assert shared(driver) == [(1, ("b",))]
