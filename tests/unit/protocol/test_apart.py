"""Members who reach the leader and not each other: they own nothing, and contribute all the same."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from p2pgan.protocol.apart import FIRST_REST_S, LONGEST_REST_S
from p2pgan.protocol.effects import Note
from p2pgan.protocol.events import LeaseRenewed, ResultArrived, SliceArrived
from p2pgan.protocol.ids import Span
from p2pgan.protocol.messages import (
    MAX_NAMED,
    Heartbeat,
    Member,
    Phase,
    Plan,
    RoundCommitted,
    Shard,
    SliceRequest,
)
from tests.unit.protocol.steps import Driver, plan_for
from tests.unit.protocol.test_bandwidth import plan_of
from tests.unit.protocol.test_conduct import leading, vote
from tests.unit.protocol.test_member import record

OTHERS = ("b", "c", "d")
SIZE = 1 << 20


def leader() -> Driver:
    """``a`` leads the others, each of whom owns a shard."""
    driver, plan = leading(*OTHERS, vector_size=SIZE)
    assert owners(plan) == {"a", *OTHERS}
    return driver


def owners(plan: Plan) -> set[str]:
    return {shard.owner for shard in plan.shards}


def wait(driver: Driver, seconds: float, told: Mapping[str, tuple[str, ...]] | None = None) -> None:
    """Time passes in the round under way: all have trained, and nobody gets to the end of the exchange."""
    for _ in range(int(seconds * 2)):
        driver.give(LeaseRenewed(1, 1))
        driver.tick(0.5)
        plan = plan_of(driver)
        for peer in OTHERS:
            facts = {
                "round": plan.round,
                "attempt": plan.attempt,
                "asked_in_vain": (told or {}).get(peer, ()),
            }
            driver.beat(peer, phase=Phase.EXCHANGING, **facts)


def fail(driver: Driver, told: Mapping[str, tuple[str, ...]]) -> Plan:
    """The exchange takes too long, the leader reduces all, and the round becomes a version; the next plan."""
    driver.train()
    plan = plan_of(driver)
    while plan_of(driver).attempt == plan.attempt:
        wait(driver, 0.5, told)
    assert owners(plan_of(driver)) == {"a"}
    return finish(driver)


def finish(driver: Driver) -> Plan:
    """The round becomes a version with all of them; the next plan."""
    plan = plan_of(driver)
    assert {m.peer for m in plan.contributors} == {"a", *OTHERS}
    driver.assemble(plan, f"v{plan.round}")
    for peer in OTHERS:
        vote(driver, peer, plan, f"v{plan.round}")
    assert driver.machine.core.version == plan.round
    return plan_of(driver)


def test_two_who_do_not_reach_each_other_own_nothing_for_a_while() -> None:
    driver = leader()

    plan = fail(driver, {"b": ("c",), "c": ("b",)})

    assert owners(plan) == {"a", "d"}
    assert {m.peer for m in plan.contributors} == {"a", *OTHERS}
    said = [n.text for n in driver.of(Note) if n.kind == "shards"]
    why = "what it and others send each other is lost"
    assert said == [f"{peer} reduces none for {FIRST_REST_S:g} s: {why}" for peer in "bc"]
    until = driver.now + FIRST_REST_S
    while driver.now < until:
        assert owners(plan) == {"a", "d"}
        driver.train()
        wait(driver, 2.0)
        plan = finish(driver)
    assert owners(plan) == {"a", *OTHERS}, "they are tried again"


def test_one_way_is_enough() -> None:
    assert owners(fail(leader(), {"c": ("b",)})) == {"a", "d"}


def test_who_blames_everyone_rests_alone() -> None:
    assert owners(fail(leader(), {"d": ("a", "b", "c")})) == {"a", "b", "c"}


def test_rests_double_while_it_goes_on_and_start_over_after_a_good_time() -> None:
    driver = leader()
    apart = driver.machine.leading.conductor.planner.apart

    def rest_s() -> float:
        began = driver.now
        apart.seen({"b": ("c", "d")})
        while apart.rests("b"):
            driver.tick(10.0, step=10.0)
        return driver.now - began

    rests = [rest_s() for _ in range(7)]
    assert rests == [FIRST_REST_S * 2**times for times in range(5)] + [LONGEST_REST_S] * 2
    driver.tick(2 * LONGEST_REST_S, step=100.0)
    assert rest_s() == FIRST_REST_S


def test_the_leader_owns_whatever_is_said_and_strangers_count_for_nothing() -> None:
    driver = leader()
    apart = driver.machine.leading.conductor.planner.apart
    apart.seen({"b": ("a",), "c": (), "x": ("y",)})
    assert not any(map(apart.rests, ("a", "b", "c", "x", "y")))


def test_a_full_list_is_of_who_is_cut_off_itself() -> None:
    others = tuple(f"p{number:02}" for number in range(3 * MAX_NAMED))
    driver = Driver(others=others)
    driver.lead(*others)
    apart = driver.machine.leading.conductor.planner.apart
    apart.seen({"p40": others[:MAX_NAMED]})
    assert [peer for peer in others if apart.rests(peer)] == ["p40"]
    apart.seen({"p41": others[: MAX_NAMED - 1]})
    assert sum(map(apart.rests, others)) == 1 + MAX_NAMED


def test_an_owner_says_whose_slices_it_has_asked_for_in_vain() -> None:
    driver = Driver()
    driver.follow()
    us = tuple(Member(p, (Span(0, 0, 16 * i, 16 * i + 16),), True) for i, p in enumerate("abc"))
    driver.hear("b", replace(plan_for(*us), shards=(Shard("a", 0, 4096),)))
    driver.train()

    def told() -> tuple[str, ...]:
        return driver.sent(Heartbeat, to="b")[-1].asked_in_vain

    driver.give(SliceArrived("b", 1, 1, 1, 0))
    assert told() == (), "nobody is late yet"
    resend_s = driver.machine.core.config.resend_s
    driver.tick(resend_s + 0.5)
    assert told() == (), "it has been asked only now"
    driver.tick(resend_s)
    assert told() == ("c",)
    driver.give(SliceArrived("c", 1, 1, 1, 0))
    driver.tick(1.0)
    assert told() == ()


def test_whose_line_is_slow_is_reached() -> None:
    driver = Driver()
    driver.follow()
    us = tuple(Member(p, (Span(0, 0, 16 * i, 16 * i + 16),), True) for i, p in enumerate("abc"))
    driver.hear("b", replace(plan_for(*us), shards=(Shard("a", 0, 2048), Shard("a", 2048, 4096))))
    driver.train()
    driver.give(SliceArrived("b", 1, 1, 1, 0))
    driver.give(SliceArrived("b", 1, 1, 1, 1))
    driver.give(SliceArrived("c", 1, 1, 1, 0))

    driver.tick(5.0)

    assert driver.sent(SliceRequest, to="c"), "it is asked for the other one"
    assert driver.sent(Heartbeat, to="b")[-1].asked_in_vain == ()


def test_a_rider_says_whose_results_of_a_committed_round_do_not_come() -> None:
    driver = Driver()
    driver.follow()
    shards = (Shard("b", 0, 2048), Shard("c", 2048, 4096))
    plan = replace(plan_for(Member("b", (Span(0, 0, 0, 16),), True), Member("a", (), False)), shards=shards)
    driver.hear("b", plan)
    driver.give(ResultArrived("b", 1, 1, 1, 0))
    driver.tick(5.0)
    assert driver.sent(Heartbeat, to="b")[-1].asked_in_vain == (), "perhaps nobody has reduced it"

    driver.hear("b", RoundCommitted(run="run", term=1, record=record(plan, "new")))
    driver.tick(1.5)
    assert driver.sent(Heartbeat, to="b")[-1].asked_in_vain == (), "it has been asked only once since then"
    driver.tick(1.0)

    beat = driver.sent(Heartbeat, to="b")[-1]
    assert (beat.round, beat.asked_in_vain) == (1, ("c",))


def test_a_leader_that_hears_so_of_a_round_that_is_committed_plans_without_them() -> None:
    driver = leader()
    driver.train()
    plan = finish(driver)
    assert owners(plan) == {"a", *OTHERS}

    driver.beat("d", version=0, digest="base", round=1, attempt=1, asked_in_vain=("c",))
    driver.train()

    assert owners(finish(driver)) == {"a", "b"}


def test_while_it_rests_nobody_is_believed() -> None:
    driver = leader()
    apart = driver.machine.leading.conductor.planner.apart
    apart.seen({"b": ("c",)})
    apart.seen({"b": ("d",)})
    assert [peer for peer in OTHERS if apart.rests(peer)] == ["b", "c"]
