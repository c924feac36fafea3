"""One network's part of a contribution is exchanged while the other's is still computed."""

from __future__ import annotations

from msgspec.structs import replace

from p2pgan.protocol.effects import Reduce, SendResult, SendSlice, Train
from p2pgan.protocol.events import LinkEnded, PartTrained, Reduced, SliceArrived, TrainingDone
from p2pgan.protocol.ids import Span
from p2pgan.protocol.messages import Heartbeat, Member, Phase, Plan, RoundCommitted, Shard
from tests.unit.protocol.steps import Driver, plan_for

MINE, THEIRS = (Span(0, 0, 0, 16),), (Span(0, 0, 16, 32),)
US = (Member("a", MINE, True), Member("b", THEIRS, True))
SIZE, BORDER = 4096, 1000
"""What is after the border is final first."""


def cut(plan: Plan, owner: str = "b") -> Plan:
    """A shard on each side of the border, and one over it."""
    return replace(plan, shards=(Shard(owner, 0, 500), Shard(owner, 500, 1500), Shard(owner, 1500, SIZE)))


def follower(plan: Plan | None = None) -> Driver:
    driver = Driver(sync="gradients")
    driver.follow()
    driver.hear("b", plan or cut(plan_for(*US)))
    return driver


def part(driver: Driver) -> None:
    driver.give(PartTrained(driver.of(Train)[-1].ticket, BORDER, SIZE))


def sent(driver: Driver) -> list[tuple[str, int]]:
    return [(e.shard.owner, e.index) for e in driver.of(SendSlice)]


def test_shards_within_the_part_are_sent_at_once_and_the_others_when_all_is_trained() -> None:
    driver = follower()

    part(driver)
    assert sent(driver) == [("b", 2)]
    assert driver.sent(Heartbeat, to="b")[-1].phase == Phase.TRAINING

    driver.train()
    assert sent(driver) == [("b", 2), ("b", 0), ("b", 1)]


def test_a_part_of_a_training_that_was_dropped_is_not_sent() -> None:
    driver = follower()
    stale = driver.of(Train)[-1].ticket
    driver.hear("b", cut(plan_for(Member("a", THEIRS, True), attempt=2, first=2)))

    driver.give(PartTrained(stale, BORDER, SIZE))
    assert sent(driver) == []

    part(driver)
    assert [(e.first_attempt, e.index) for e in driver.of(SendSlice)] == [(2, 2)]


def test_other_spans_make_the_part_that_was_final_void() -> None:
    driver = follower()
    part(driver)

    driver.hear("b", cut(plan_for(Member("a", THEIRS, True), attempt=2, first=2)))

    assert len(sent(driver)) == 1, "what is trained now has no part yet"


def test_a_new_owner_gets_the_part_as_well_before_all_is_trained() -> None:
    driver = follower()
    part(driver)

    driver.hear("b", cut(plan_for(*US, attempt=2), owner="c"))

    assert sent(driver) == [("b", 2), ("c", 2)]


def test_who_is_left_out_after_its_part_sends_nothing_more() -> None:
    driver = follower()
    part(driver)
    ticket = driver.of(Train)[-1].ticket
    driver.hear("b", cut(plan_for(US[1], attempt=2)))

    driver.give(TrainingDone(ticket, 100.0))

    assert len(sent(driver)) == 1


def test_a_part_that_came_is_in_no_mean_once_its_sender_is_gone() -> None:
    """It trained one network's part, sent it, and died in the other's: nothing of it counts."""
    driver = Driver(others=("b",), sync="gradients", local_steps=1, vector_border=SIZE // 2)
    driver.lead("b")
    driver.beat("b")
    plan = driver.machine.leading.conductor.watch.plan
    mine, theirs = ([i for i, s in enumerate(plan.shards) if s.owner == p] for p in "ab")
    early = [i for i in mine if plan.shards[i].start >= SIZE // 2]
    assert early and len(early) < len(mine), "this leader owns a shard on either side"
    part(driver)
    for index in early:
        for sender in "ab":
            driver.give(SliceArrived(sender, plan.term, plan.round, plan.attempt, index))
    assert [[p for p, _ in e.weights] for e in driver.of(Reduce)] == [["a", "b"]] * len(early)
    for index in early:
        driver.give(Reduced(plan.term, plan.round, plan.attempt, index))
    assert {e.to for e in driver.of(SendResult)} == {"a", "b"}

    driver.give(LinkEnded("b"))
    driver.tick(2.0)
    driver.train()
    amended = driver.machine.leading.conductor.watch.plan
    for index in (*mine, *theirs):
        driver.give(SliceArrived("a", plan.term, plan.round, plan.attempt, index))

    assert amended.attempt == plan.attempt + 1
    again = [e for e in driver.of(Reduce) if e.attempt == amended.attempt]
    assert sorted(e.index for e in again) == sorted((*mine, *theirs))
    assert {p for e in again for p, _ in e.weights} == {"a"}
    driver.assemble(amended, "new")
    record = driver.machine.core.record_of(1)
    assert record is not None and [c.peer for c in record.contributions] == ["a"]
    assert not driver.sent(RoundCommitted, to="b")
