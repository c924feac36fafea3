"""What a leader makes of slow lines: who reduces how much, how long an exchange takes, who is waited for."""

from __future__ import annotations

from collections import Counter

import pytest

from p2pgan.protocol.effects import Note
from p2pgan.protocol.events import LeaseRenewed, UplinkMeasured
from p2pgan.protocol.messages import Phase, Plan
from tests.unit.protocol.steps import Driver
from tests.unit.protocol.test_conduct import leading, vote

SIZE = 1 << 20
"""Elements: 16 blocks of a shard's alignment would leave little to share out."""


def owned(plan: Plan) -> Counter[str]:
    elements: Counter[str] = Counter()
    for shard in plan.shards:
        elements[shard.owner] += shard.stop - shard.start
    return elements


def leader_of(**uplinks: float) -> Driver:
    """``a`` leads ``b`` and ``c`` at the first plan after everyone's bandwidth is known."""
    driver, plan = leading("b", "c", vector_size=SIZE)
    driver.give(UplinkMeasured(uplinks["a"]))
    for peer in "bc":
        driver.beat(peer, uplink=uplinks[peer])
    driver.machine.leading.conductor.gone("c")  # plan again without waiting for a whole round
    driver.machine.leading.conductor.watch = None
    driver.tick(0.25)
    for peer in "bc":
        driver.beat(peer, uplink=uplinks[peer])
    return driver


def plan_of(driver: Driver) -> Plan:
    watch = driver.machine.leading.conductor.watch
    assert watch is not None
    return watch.plan


def shard_notes(driver: Driver) -> list[str]:
    return [note.text for note in driver.of(Note) if note.kind == "shards"]


def test_on_fast_lines_everyone_reduces_as_much() -> None:
    driver = leader_of(a=1e9, b=2e8, c=1e9)
    assert set(owned(plan_of(driver)).values()) == {SIZE // 3 // 1024 * 1024, SIZE // 3 // 1024 * 1024 + 1024}
    assert shard_notes(driver) == []


def test_on_slow_lines_shards_go_by_uplink_and_the_log_says_so() -> None:
    driver = leader_of(a=10e6, b=10e6, c=1e6)
    shares = owned(plan_of(driver))
    assert shares["a"] == pytest.approx(shares["b"], abs=2048)
    assert shares["c"] < 0.1 * SIZE
    assert shard_notes(driver) == ["by uplink, from 0% of the vector for c to 50% for this peer"]


def test_noise_moves_no_shard() -> None:
    driver = leader_of(a=10e6, b=10e6, c=5e6)
    before = plan_of(driver).shards
    driver.give(UplinkMeasured(12e6))
    driver.beat("b", uplink=8e6)
    driver.machine.leading.conductor.watch = None
    driver.tick(0.25)
    assert plan_of(driver).shards == before


def test_an_exchange_over_slow_lines_may_take_longer_but_not_for_ever() -> None:
    driver = leader_of(a=1e9, b=1e9, c=1e9)
    planner = driver.machine.leading.conductor.planner
    usual = driver.machine.core.config.exchange_s
    assert planner.exchange_s(plan_of(driver)) == usual

    driver = leader_of(a=10e6, b=10e6, c=0.25e6)
    planner, plan = driver.machine.leading.conductor.planner, plan_of(driver)
    # c owns nothing and sends its contribution, two bytes for each element.
    assert planner.exchange_s(plan) == pytest.approx(2 * 2 * SIZE / 0.25e6)

    driver = leader_of(a=10e6, b=10e6, c=1.0)
    assert driver.machine.leading.conductor.planner.exchange_s(plan_of(driver)) == 4 * usual


def test_a_leader_that_is_alone_waits_for_who_is_on_the_way_and_not_for_ever() -> None:
    driver = Driver(others=("b",))
    driver.lead()
    driver.beat("b", version=0, digest="other", phase=Phase.CATCHING_UP, attempt=1)
    while driver.machine.core.version < 1:
        plan = plan_of(driver)
        driver.train()
        driver.assemble(plan, f"v{plan.round}")
    conductor = driver.machine.leading.conductor
    assert [m.peer for m in plan_of(driver).contributors] == ["a"]

    # b now has what the last round was based on, but not yet the one before: two behind, and training.
    plan = plan_of(driver)
    assert plan.member("b") is not None
    driver.beat("b", version=0, digest="base")
    driver.train()
    driver.assemble(plan, f"v{plan.round}")
    assert conductor.watch is None, "nothing is planned while b is on its way"

    core = driver.machine.core
    for _ in range(int(core.config.exchange_s * 4) + 4):
        if conductor.watch is not None:
            break
        driver.tick(0.25)
        driver.give(LeaseRenewed(1, 1))
        driver.beat("b", version=0, digest="base")
    assert conductor.watch is not None, "nobody is waited for without end"
    assert [m.peer for m in plan_of(driver).contributors] == ["a"]

    plan = plan_of(driver)
    driver.train()
    driver.assemble(plan, f"v{plan.round}")
    assert conductor.watch is not None, "nor twice, before it has contributed"


def test_a_leader_that_is_alone_leaves_half_of_its_line_to_who_fetches_from_it() -> None:
    """Its results go to whoever fetches as well, and at its own pace would fill the line."""
    sends_s = 3.0
    driver = Driver(others=("b",), vector_size=SIZE)
    driver.lead()
    driver.give(UplinkMeasured(2 * SIZE / sends_s))
    fetches = {"version": 0, "digest": "other", "phase": Phase.CATCHING_UP, "attempt": 0}
    driver.beat("b", **fetches)
    while (plan := plan_of(driver)).member("b") is None:
        driver.train()
        driver.assemble(plan, f"v{plan.round}")

    planned_at, conductor = driver.now, driver.machine.leading.conductor
    driver.train()
    driver.assemble(plan, f"v{plan.round}")
    while conductor.watch is None and driver.now < planned_at + 60:
        driver.tick(0.25)
        driver.give(LeaseRenewed(1, 1))
        driver.beat("b", **fetches)

    assert driver.now - planned_at == pytest.approx(2 * sends_s, abs=0.25)


def test_who_arrives_is_no_longer_waited_for() -> None:
    driver, plan = leading("b")
    conductor = driver.machine.leading.conductor
    driver.train()
    driver.assemble(plan, "v1")
    vote(driver, "b", plan, "v1")
    assert driver.machine.core.version == 1
    assert {m.peer for m in plan_of(driver).contributors} == {"a", "b"}
    assert conductor.planner._awaited == {}
