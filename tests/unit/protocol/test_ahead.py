"""Training goes on while a round is exchanged."""

from __future__ import annotations

from p2pgan.protocol.effects import Apply, Kept, SendSlice, Train, TrainAhead
from p2pgan.protocol.events import TrainingDone
from p2pgan.protocol.ids import Contribution, Span, VersionRecord, images_in
from p2pgan.protocol.messages import Heartbeat, Member, Phase, Plan, RoundCommitted
from tests.unit.protocol.steps import BASE, Driver, plan_for

MINE, AHEAD = (Span(0, 0, 0, 16),), (Span(0, 0, 32, 48),)
THEIRS = Member("b", (Span(0, 0, 16, 32),), True)
PLAN = plan_for(Member("a", MINE, True, AHEAD), THEIRS)


def record(plan: Plan) -> VersionRecord:
    contributions = tuple(Contribution(m.peer, m.spans) for m in plan.contributors)
    return VersionRecord(
        1, "new", BASE, 1, plan.attempt, "b", sum(c.images for c in contributions), contributions
    )


def follower(plan: Plan = PLAN) -> Driver:
    driver = Driver()
    driver.follow()
    driver.hear("b", plan)
    return driver


def commit(driver: Driver, plan: Plan = PLAN) -> None:
    driver.assemble(plan, "new")
    driver.hear("b", RoundCommitted(run="run", term=1, record=record(plan)))


def ahead_done(driver: Driver) -> None:
    driver.give(TrainingDone(driver.of(TrainAhead)[-1].ticket, 100.0))


def next_plan(*spans: Span) -> Plan:
    plan = plan_for(Member("a", spans, True), THEIRS)
    changes = {"round": 2, "base_version": 1, "base_digest": "new"}
    return Plan(**{f: getattr(plan, f) for f in plan.__struct_fields__} | changes)


def test_whoever_is_done_trains_what_is_ahead_before_it_sends() -> None:
    driver = follower()
    assert not driver.of(TrainAhead), "first what the round is about"

    driver.train()

    effects = [type(e) for e in driver.last]
    assert driver.of(TrainAhead)[0].spans == AHEAD
    assert effects.index(TrainAhead) < effects.index(SendSlice), "the training waits for nothing"


def test_what_was_ahead_is_held_once_the_round_is_committed() -> None:
    driver = follower()
    driver.train()
    commit(driver)

    assert [e.kept for e in driver.of(Apply)] == [Kept.AHEAD]
    beat = driver.sent(Heartbeat, to="b")[-1]
    assert (beat.version, beat.held, beat.phase) == (1, AHEAD, Phase.TRAINING)

    driver.hear("b", next_plan(*AHEAD))
    assert len(driver.of(Train)) == 1, "it goes on with what it has"
    sent = len(driver.of(SendSlice))
    ahead_done(driver)
    assert len(driver.of(SendSlice)) == sent + 1


def test_what_is_done_ahead_of_the_plan_is_sent_when_the_plan_comes() -> None:
    driver = follower()
    driver.train()
    ahead_done(driver)
    commit(driver)
    sent = len(driver.of(SendSlice))

    driver.hear("b", next_plan(*AHEAD))

    assert len(driver.of(SendSlice)) == sent + 1


def test_a_straggler_keeps_both_what_it_holds_and_what_is_ahead() -> None:
    driver = follower()
    driver.train()
    late = plan_for(Member("a", MINE, False, AHEAD), THEIRS, attempt=2)
    driver.hear("b", late)
    commit(driver, late)

    assert [e.kept for e in driver.of(Apply)] == [Kept.ALL]
    assert (driver.machine.member.held, driver.machine.member.ahead) == (MINE, AHEAD)
    assert len(driver.of(TrainAhead)) == 1


def test_other_spans_ahead_replace_those_that_are_trained() -> None:
    driver, other = follower(), (Span(0, 0, 48, 56),)
    driver.train()
    driver.hear("b", plan_for(Member("a", MINE, True, other), THEIRS, attempt=2))

    assert [t.spans for t in driver.of(TrainAhead)] == [AHEAD, other]
    commit(driver, plan_for(Member("a", MINE, True, other), THEIRS, attempt=2))
    assert driver.machine.member.held == other


def test_nothing_is_kept_of_training_that_was_counted_under_other_spans() -> None:
    driver = follower()
    driver.train()
    driver.assemble(PLAN, "new")
    foreign = plan_for(Member("a", AHEAD, True), THEIRS)
    driver.hear("b", RoundCommitted(run="run", term=1, record=record(foreign)))

    assert [e.kept for e in driver.of(Apply)] == [Kept.NOTHING]
    assert driver.machine.member.held == ()


def leading(**changes: object) -> tuple[Driver, Plan]:
    driver = Driver(others=("b",), **changes)
    driver.lead("b")
    driver.beat("b")
    return driver, _watched(driver)


def _watched(driver: Driver) -> Plan:
    watch = driver.machine.leading.conductor.watch
    assert watch is not None
    return watch.plan


def test_the_leader_hands_out_work_ahead_once_and_plans_the_next_round_with_it() -> None:
    driver, plan = leading()
    spans = sorted(s for m in plan.members for s in (*m.spans, *m.ahead))
    assert all(m.ahead for m in plan.contributors)
    assert not any(x.overlaps(y) for x, y in zip(spans, spans[1:], strict=False))

    driver.train()
    driver.assemble(plan, "new")
    driver.beat("b", phase=Phase.VERIFIED, round=1, attempt=plan.attempt, candidate="new")

    following = _watched(driver)
    assert following.round == 2
    assert {m.peer: m.spans for m in following.members} == {m.peer: m.ahead for m in plan.members}
    assert driver.machine.member.held == following.member("a").spans


def test_a_peer_that_goes_gives_back_what_was_ahead_as_well() -> None:
    driver, plan = leading()
    pool = driver.machine.leading.conductor.planner.pool
    theirs = plan.member("b")
    assert theirs is not None
    driver.tick(4.0)

    assert "b" not in pool.holders()
    opened = pool.take("d", images_in(theirs.spans + theirs.ahead))
    assert set(theirs.spans + theirs.ahead) <= set(opened)


def test_speed_is_measured_from_the_end_of_one_training_to_the_end_of_the_next() -> None:
    driver, plan = leading(local_steps=10)
    planner = driver.machine.leading.conductor.planner

    def trained(at: float, number: int, attempt: int) -> None:
        while driver.now < at:
            driver.tick(0.25)
            driver.beat("b", phase=Phase.TRAINING, round=number, attempt=attempt)
        driver.beat("b", phase=Phase.EXCHANGING, round=number, attempt=attempt)

    watch = driver.machine.leading.conductor.watch
    assert watch is not None
    start = watch.planned_at
    trained(start + 4.0, 1, plan.attempt)
    first = planner.pace.speed("b")
    driver.train()
    driver.assemble(plan, "new")
    driver.beat("b", phase=Phase.VERIFIED, round=1, attempt=plan.attempt, candidate="new")
    following = _watched(driver)
    trained(start + 8.0, 2, following.attempt)

    assert 18 < first <= 20, "80 images in four seconds"
    assert abs(planner.pace.speed("b") - first) < 0.1 * first


def test_word_of_two_trainings_at_once_makes_nobody_fast() -> None:
    driver, plan = leading(local_steps=10)
    planner = driver.machine.leading.conductor.planner
    for _ in range(8):
        driver.tick(0.25)
        driver.beat("b", phase=Phase.TRAINING, round=1, attempt=plan.attempt)
    driver.beat("b", phase=Phase.EXCHANGING, round=1, attempt=plan.attempt, images_per_s=40.0)
    driver.train()
    driver.assemble(plan, "new")
    driver.beat("b", phase=Phase.VERIFIED, round=1, attempt=plan.attempt, candidate="new", images_per_s=40.0)
    following = _watched(driver)
    assert following.round == 2
    driver.beat("b", phase=Phase.EXCHANGING, round=2, attempt=following.attempt, images_per_s=40.0)

    assert 20 < planner.pace.speed("b") <= 40, "a leader that slept hears of both at the same moment"


def test_whoever_is_late_is_known_to_be_slow() -> None:
    driver, plan = leading()
    planner = driver.machine.leading.conductor.planner
    driver.train()
    for _ in range(40):
        driver.tick(0.25)
        driver.beat("b", phase=Phase.TRAINING, round=1, attempt=_watched(driver).attempt)
    late = _watched(driver).member("b")
    assert late is not None
    assert not late.contributes

    theirs = plan.member("b")
    assert theirs is not None
    assert 0 < planner.pace.speed("b") < images_in(theirs.spans) / 2


def test_a_gradient_that_missed_its_round_is_taken_anew() -> None:
    driver = Driver(sync="gradients", local_steps=2)
    driver.follow()
    driver.hear("b", plan_for(Member("a", MINE, True), THEIRS))
    driver.train()
    late = plan_for(Member("a", MINE, False), THEIRS, attempt=2)
    driver.hear("b", late)
    commit(driver, late)

    assert [e.kept for e in driver.of(Apply)] == [Kept.NOTHING]
    driver.hear("b", next_plan(*MINE))
    assert [t.spans for t in driver.of(Train)] == [MINE, MINE]


def test_whoever_is_late_with_gradients_is_given_more_time_in_the_next_round() -> None:
    driver, plan = leading(sync="gradients", local_steps=1)
    planner = driver.machine.leading.conductor.planner
    driver.train()
    for _ in range(12):
        driver.tick(0.25)
        driver.beat("b", phase=Phase.TRAINING, round=1, attempt=_watched(driver).attempt)
    late = _watched(driver).member("b")
    assert late is not None
    assert not late.contributes

    assert 0 < planner.pace.speed("b") < 8 / 1.0, "eight images took more than a second"
    assert planner.pace.expected_s(plan.contributors) > 1.0


def test_gradients_are_never_trained_ahead() -> None:
    driver, plan = leading(sync="gradients", local_steps=1)

    assert not any(m.ahead for m in plan.members)
    driver.train()
    assert not driver.of(TrainAhead)
