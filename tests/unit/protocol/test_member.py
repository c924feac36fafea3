"""A member's part in rounds: events in, effects out."""

from __future__ import annotations

from msgspec.structs import replace

from p2pgan.protocol.effects import (
    Apply,
    BuildCandidate,
    Kept,
    Reduce,
    SendResult,
    SendSlice,
    StopTraining,
    Train,
)
from p2pgan.protocol.events import Reduced, ResultArrived, SliceArrived
from p2pgan.protocol.ids import Contribution, Span, VersionRecord
from p2pgan.protocol.messages import Heartbeat, Member, Phase, Plan, ResultRequest, RoundCommitted, Shard
from tests.unit.protocol.steps import BASE, Driver, plan_for

MINE = (Span(0, 0, 0, 16),)
THEIRS = (Span(0, 0, 16, 32),)
US = (Member("a", MINE, True), Member("b", THEIRS, True))


def record(plan: Plan, digest: str) -> VersionRecord:
    contributions = tuple(Contribution(m.peer, m.spans) for m in plan.contributors)
    images = sum(c.images for c in contributions)
    return VersionRecord(1, digest, BASE, plan.term, plan.attempt, "b", images, contributions)


def follower() -> Driver:
    driver = Driver()
    driver.follow()
    return driver


def test_a_plan_is_trained_sent_verified_and_applied() -> None:
    driver, plan = follower(), plan_for(*US)

    driver.hear("b", plan)
    assert [t.spans for t in driver.of(Train)] == [MINE]
    driver.train()
    assert [(s.index, s.shard.owner) for s in driver.of(SendSlice)] == [(0, "b")]
    driver.assemble(plan, "new")
    vote = driver.sent(Heartbeat, to="b")[-1]
    assert (vote.phase, vote.round, vote.attempt, vote.candidate) == (Phase.VERIFIED, 1, 1, "new")
    driver.hear("b", RoundCommitted(run="run", term=1, record=record(plan, "new")))

    assert driver.applied == [1]
    assert driver.of(Apply)[0].kept is Kept.NOTHING
    assert (driver.machine.core.version, driver.machine.core.digest) == (1, "new")


def test_nothing_is_applied_without_the_leaders_word_or_with_another_digest() -> None:
    driver, plan = follower(), plan_for(*US)
    driver.hear("b", plan)
    driver.train()
    driver.assemble(plan, "new")
    assert driver.applied == []

    driver.hear("b", RoundCommitted(run="run", term=1, record=record(plan, "other")))
    driver.hear("c", RoundCommitted(run="run", term=1, record=record(plan, "new")))

    assert driver.applied == []


def test_an_amended_round_keeps_what_was_trained() -> None:
    driver = follower()
    driver.hear("b", plan_for(*US, Member("c", (Span(0, 0, 32, 48),), True)))
    driver.train()
    slices = len(driver.of(SendSlice))

    driver.hear("b", plan_for(*US, attempt=2))

    assert len(driver.of(Train)) == 1
    assert len(driver.of(SendSlice)) == slices, "the owner keeps the slice it has"


def test_a_shard_with_a_new_owner_is_sent_again() -> None:
    driver = follower()
    driver.hear("b", plan_for(*US))
    driver.train()
    moved = plan_for(*US, attempt=2, leader="c")

    driver.hear("b", moved)

    assert [s.shard.owner for s in driver.of(SendSlice)] == ["b", "c"]


def test_other_spans_replace_the_training() -> None:
    driver = follower()
    driver.hear("b", plan_for(*US))

    driver.hear("b", plan_for(Member("a", THEIRS, True), attempt=2, first=2))

    assert [t.spans for t in driver.of(Train)] == [MINE, THEIRS]


def test_a_peer_that_was_left_out_drops_its_spans() -> None:
    driver = follower()
    driver.hear("b", plan_for(*US))

    driver.hear("b", plan_for(US[1], attempt=2))

    assert driver.of(StopTraining)
    assert driver.machine.member.held == ()


def test_a_straggler_keeps_its_spans_and_trains_on_on_top_of_the_new_version() -> None:
    driver = follower()
    driver.hear("b", plan_for(*US))
    late = plan_for(Member("a", MINE, False), US[1], attempt=2)
    driver.hear("b", late)
    driver.assemble(late, "new")
    driver.hear("b", RoundCommitted(run="run", term=1, record=record(late, "new")))

    assert [e.kept for e in driver.of(Apply)] == [Kept.ALL]
    assert driver.machine.member.held == MINE
    assert len(driver.of(Train)) == 1


def test_an_owner_reduces_once_everyone_of_the_plan_has_sent() -> None:
    driver = follower()
    plan = plan_for(*US, leader="a")
    driver.hear("b", plan)
    driver.give(SliceArrived("b", 1, 1, 1, 0))
    assert not driver.of(Reduce)

    driver.give(SliceArrived("a", 1, 1, 1, 0))
    reduce = driver.of(Reduce)[-1]
    assert reduce.weights == (("a", 16), ("b", 16))
    driver.give(Reduced(1, 1, 1, 0))

    assert {s.to for s in driver.of(SendResult)} == {"a", "b"}


def test_an_owner_reduces_again_when_a_contributor_is_taken_out() -> None:
    driver = follower()
    three = plan_for(*US, Member("c", (Span(0, 0, 32, 48),), True), leader="a")
    driver.hear("b", three)
    for sender in "ab":
        driver.give(SliceArrived(sender, 1, 1, 1, 0))
    assert not driver.of(Reduce)

    driver.hear("b", plan_for(*US, attempt=2, leader="a"))

    assert [r.weights for r in driver.of(Reduce)] == [(("a", 16), ("b", 16))]


def test_results_of_a_former_attempt_do_not_count() -> None:
    driver = follower()
    driver.hear("b", plan_for(*US, attempt=2))
    driver.train()
    driver.give(ResultArrived("b", 1, 1, 1, 0))
    assert not driver.of(BuildCandidate)
    driver.give(ResultArrived("c", 1, 1, 2, 0))
    assert not driver.of(BuildCandidate), "c does not own the shard"
    driver.give(ResultArrived("b", 1, 1, 2, 0))
    assert driver.of(BuildCandidate)


def test_results_from_before_the_plan_count_if_their_sender_turns_out_to_own_the_shard() -> None:
    driver = follower()
    driver.give(ResultArrived("c", 1, 1, 1, 0))
    driver.give(ResultArrived("c", 1, 1, 1, 9))
    driver.hear("b", plan_for(*US))
    driver.train()
    assert not driver.of(BuildCandidate), "c does not own the shard, and there is no other"

    driver.give(ResultArrived("b", 1, 1, 1, 0))
    assert len(driver.of(BuildCandidate)) == 1

    early = follower()
    early.give(ResultArrived("b", 1, 1, 1, 0))
    early.hear("b", plan_for(*US))
    assert len(early.of(BuildCandidate)) == 1


def test_what_is_missing_is_asked_for_again() -> None:
    driver, plan = follower(), plan_for(*US)
    driver.hear("b", plan)
    driver.train()

    effects = driver.tick(1.5)

    assert driver.sent(ResultRequest, to="b", among=effects)


def test_plans_of_others_than_the_leader_and_of_other_terms_are_ignored() -> None:
    driver = follower()

    driver.hear("c", plan_for(*US))
    driver.hear("b", plan_for(*US, term=2))

    assert not driver.of(Train)


def test_two_shards_need_two_results() -> None:
    driver = follower()
    plan = plan_for(*US)
    plan = replace(plan, shards=(Shard("b", 0, 2048), Shard("a", 2048, 4096)))
    driver.hear("b", plan)
    driver.train()
    driver.give(ResultArrived("b", 1, 1, 1, 0))
    assert not driver.of(BuildCandidate)
    driver.give(ResultArrived("a", 1, 1, 1, 1))
    assert len(driver.of(BuildCandidate)) == 1
