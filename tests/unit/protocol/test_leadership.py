"""The pen: who may take it, how long it is trusted, how it is given away."""

from __future__ import annotations

import pytest

from p2pgan.protocol.effects import AcquireLease, Commit, Finish, ReadLease, ReleaseLease, RenewLease, RollUp
from p2pgan.protocol.events import (
    CommitDone,
    DatabaseFailed,
    LeaseAcquired,
    LeaseLost,
    LeaseRead,
    LeaseReleased,
    LeaseRenewed,
    LeaveRequested,
    OffencesCounted,
    WallSeen,
)
from p2pgan.protocol.leadership import Role
from p2pgan.protocol.messages import MAX_OFFENDERS, Handover, Heartbeat, Leaving, Phase
from tests.unit.protocol.steps import Driver


def test_a_follower_looks_at_the_lease_only_when_its_leader_is_silent() -> None:
    driver = Driver()
    driver.follow("b")
    driver.all.clear()
    for _ in range(8):
        driver.tick(0.5)
        driver.beat("b")
    assert not driver.of(ReadLease)

    driver.tick(3.5)

    assert driver.of(ReadLease)


def test_a_lease_that_runs_out_is_asked_for() -> None:
    driver = Driver()
    driver.follow("b")
    driver.tick(3.0)
    driver.give(LeaseRead(1, "b", 2.0, None))
    assert not driver.of(AcquireLease)

    for _ in range(8):
        driver.tick(0.5)
        driver.give(LeaseRead(1, "b", -0.1, None))
    assert driver.of(AcquireLease)


@pytest.mark.parametrize(("walled", "at_once"), [(False, True), (True, False)])
def test_whom_nobody_can_dial_leaves_the_pen_to_the_others(walled: bool, at_once: bool) -> None:
    driver = Driver()
    driver.follow("b")
    driver.give(WallSeen(walled))
    driver.tick(3.0)
    waits = 0.0
    while not driver.of(AcquireLease):
        driver.give(LeaseRead(1, "b", -0.1, None))
        driver.tick(0.25)
        waits += 0.25
    assert waits <= 1.0 if at_once else 8.0 <= waits <= 9.0


def test_a_leader_whom_nobody_can_dial_lays_the_pen_down() -> None:
    driver = Driver()
    driver.lead()
    driver.machine.leading.conductor.watch = None
    driver.give(WallSeen(True))
    assert [r.successor for r in driver.of(ReleaseLease)] == [None]
    driver.give(LeaseReleased(1))
    assert driver.machine.leadership.role is Role.FOLLOWER


def test_a_term_is_believed_only_from_the_row() -> None:
    driver = Driver()
    driver.follow("b", term=1)

    driver.beat("c", term=9)

    assert driver.machine.core.term == 1 and driver.machine.core.leader == "b"
    assert driver.of(ReadLease), "but it is a reason to look"
    driver.give(LeaseRead(9, "c", 5.0, None))
    assert driver.machine.core.term == 9 and driver.machine.core.leader == "c"


def test_a_leader_that_slept_past_its_lease_decides_nothing_until_it_is_renewed() -> None:
    driver = Driver()
    driver.lead("b")
    assert driver.machine.leadership.may_decide

    driver.now += 20.0
    driver.beat("b")
    assert not driver.machine.leadership.may_decide
    driver.give(LeaseLost(1))

    assert driver.machine.leadership.role is Role.FOLLOWER


def test_an_answer_from_before_the_sleep_does_not_renew_the_trust() -> None:
    driver = Driver()
    driver.lead("b")
    driver.tick(2.0)
    assert driver.of(RenewLease)

    driver.now += 20.0
    driver.give(LeaseRenewed(1, 1))

    assert not driver.machine.leadership.trusted


def test_rounds_go_on_while_the_database_is_away() -> None:
    driver = Driver()
    driver.lead("b")
    driver.tick(2.0)
    driver.give(DatabaseFailed("RenewLease"))

    driver.now += 20.0
    driver.beat("b")

    assert driver.machine.leadership.may_decide
    assert not driver.machine.leadership.trusted


def test_followers_leave_a_leader_without_a_lease_some_time_while_they_hear_it() -> None:
    driver = Driver()
    driver.follow("b")
    asked_after = None
    for step in range(40):
        driver.tick(0.25)
        driver.beat("b", lease_held=False)
        driver.give(LeaseRead(1, "b", -5.0, None))
        if driver.of(AcquireLease) and asked_after is None:
            asked_after = step * 0.25

    assert asked_after is not None and 3.5 <= asked_after <= 6.0


def test_the_named_successor_takes_the_pen_at_once() -> None:
    driver = Driver()
    driver.follow("b")

    driver.hear("b", Handover(run="run", term=1))
    driver.give(LeaseRead(1, None, -0.1, "a"))

    assert driver.of(AcquireLease)


def test_the_pen_rotates_after_so_many_commits() -> None:
    driver = Driver(rotate_every=1, commit_s=0.0)
    driver.lead("b")
    driver.machine.leading.commits.done_in_term = 1
    driver.machine.leading.conductor.watch = None

    driver.beat("b")
    driver.beat("b")

    assert [r.successor for r in driver.of(ReleaseLease)] == ["b"]
    driver.give(LeaseReleased(1))
    assert driver.sent(Handover, to="b")
    assert driver.machine.leadership.role is Role.FOLLOWER


def _with_a_version_to_commit(**changes: object) -> Driver:
    """A leader whose first round is done; the commit of it is under way."""
    driver = Driver(others=("b",), commit_s=0.0, **changes)
    driver.lead("b")
    driver.beat("b")
    watch = driver.machine.leading.conductor.watch
    assert watch is not None
    driver.train()
    driver.assemble(watch.plan, "new")
    driver.machine.leading.commits.done_in_term = 1
    vote = {"phase": Phase.VERIFIED, "round": 1, "attempt": watch.plan.attempt, "candidate": "new"}
    driver.beat("b", **vote)
    driver.beat("b", version=1, digest="new")
    assert [len(c.records) for c in driver.of(Commit)] == [1]
    return driver


def test_the_pen_is_handed_over_once_the_database_has_all_versions() -> None:
    driver = _with_a_version_to_commit(rotate_every=1)
    assert driver.machine.leading.conductor.watch is None, "no round is begun before the handover"
    assert not driver.of(ReleaseLease)

    driver.give(CommitDone(1))

    assert [r.successor for r in driver.of(ReleaseLease)] == ["b"]


def test_rounds_go_on_if_the_commits_before_a_handover_take_too_long() -> None:
    driver = _with_a_version_to_commit(rotate_every=1)
    for _ in range(8):
        driver.tick(0.5)
        driver.give(LeaseRenewed(1, 1))
        driver.beat("b", version=1, digest="new")

    assert not driver.of(ReleaseLease)
    watch = driver.machine.leading.conductor.watch
    assert watch is not None and watch.plan.round == 2


def test_a_leaving_leader_commits_before_it_hands_over() -> None:
    driver = _with_a_version_to_commit()
    driver.give(LeaveRequested())
    driver.tick(0.25)
    driver.beat("b", version=1, digest="new")
    assert not driver.of(ReleaseLease)

    driver.give(CommitDone(1))

    assert [r.successor for r in driver.of(ReleaseLease)] == ["b"]


def test_a_leader_that_heard_nothing_of_its_release_asks_before_it_decides_again() -> None:
    driver = Driver(rotate_every=1)
    driver.lead("b")
    driver.machine.leadership.release("b")
    assert not driver.machine.leadership.trusted

    driver.give(DatabaseFailed("ReleaseLease"))
    assert not driver.machine.leadership.may_decide
    assert driver.of(RenewLease) or [e for e in driver.tick(0.25) if isinstance(e, RenewLease)]

    driver.give(LeaseRenewed(1, 1))
    assert driver.machine.leadership.may_decide


def test_a_leaving_leader_names_a_successor_and_a_leaving_follower_gives_its_spans_back() -> None:
    leader = Driver()
    leader.lead("b")
    leader.beat("b")
    leader.give(LeaveRequested())
    assert [r.successor for r in leader.of(ReleaseLease)] == ["b"]
    leader.give(LeaseReleased(1))
    assert leader.of(Finish)

    follower = Driver()
    follower.follow("b")
    follower.give(LeaveRequested())
    assert follower.sent(Leaving, to="b")
    assert follower.of(Finish)


def test_a_finished_run_ends_the_peer() -> None:
    driver = Driver()
    driver.follow("b")

    driver.give(LeaseRead(1, None, -1.0, None, finished=True))

    assert driver.of(Finish)
    assert driver.tick(1.0) == []


def test_of_two_terms_the_higher_row_wins() -> None:
    driver = Driver()
    driver.give(LeaseAcquired(3))
    driver.give(LeaseRead(4, "b", 5.0, None))

    assert driver.machine.leadership.role is Role.FOLLOWER
    assert driver.machine.core.leader == "b"


def test_the_leader_adds_up_what_all_have_refused() -> None:
    driver = Driver()
    driver.lead("b", "c")
    driver.give(OffencesCounted((("c", 3),)))
    driver.beat("b", offences=(("c", 4), ("a", 1)))
    driver.tick(5.0)
    assert {s.peer: s.offences for s in driver.of(RollUp)[-1].stats} == {"a": 1, "b": 0, "c": 7}


def test_whom_a_new_leader_has_not_timed_is_as_fast_as_it_says() -> None:
    driver = Driver()
    driver.lead("b", "c")
    driver.beat("b", images_per_s=40.0)
    driver.tick(5.0)
    assert {s.peer: s.images_per_s for s in driver.of(RollUp)[-1].stats} == {"a": 0.0, "b": 40.0, "c": 0.0}


def test_a_follower_tells_its_leader_what_it_has_refused() -> None:
    driver = Driver()
    driver.follow("b")
    driver.give(OffencesCounted(tuple((f"p{n}", n) for n in range(MAX_OFFENDERS + 5))))
    assert driver.sent(Heartbeat, "b")[-1].offences == tuple((f"p{n}", n) for n in range(MAX_OFFENDERS))


def test_who_only_offends_and_never_says_a_word_is_reported_as_well() -> None:
    driver = Driver()
    driver.lead("b")
    driver.give(OffencesCounted((("c", 3),)))
    driver.tick(5.0)
    assert {s.peer: s.offences for s in driver.of(RollUp)[-1].stats} == {"a": 0, "b": 0, "c": 3}
