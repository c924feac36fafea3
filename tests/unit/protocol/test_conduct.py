"""The leader's rounds: plan, amend, decide, commit."""

from __future__ import annotations

import pytest

from p2pgan.protocol.effects import (
    Apply,
    ClaimUnits,
    Commit,
    LoadFromRendezvous,
    ReadLease,
    Send,
    SendWelcome,
    Train,
)
from p2pgan.protocol.events import (
    CandidateReady,
    CommitDone,
    CommitRefused,
    DatabaseFailed,
    LeaseAcquired,
    LeaseRenewed,
    LinkEnded,
    PeerInfo,
    PeersRead,
    ProgressRead,
    ResultArrived,
    SliceArrived,
    SnapshotInstalled,
    TrainingDone,
)
from p2pgan.protocol.ids import Span, images_in
from p2pgan.protocol.leadership import Role
from p2pgan.protocol.messages import (
    Heartbeat,
    Leaving,
    Member,
    Phase,
    Plan,
    RoundCommitted,
    SnapshotRequest,
    Welcome,
)
from p2pgan.protocol.metrics import Losses, Traffic
from tests.unit.protocol.steps import BASE, Driver, manifest, plan_for


def leading(*others: str, **changes: object) -> tuple[Driver, Plan]:
    driver = Driver(others=others, **changes)
    driver.lead(*others)
    for peer in others:
        driver.beat(peer)
    watch = driver.machine.leading.conductor.watch
    assert watch is not None
    return driver, watch.plan


def vote(driver: Driver, peer: str, plan: Plan, digest: str, **changes: object) -> None:
    fields = {"phase": Phase.VERIFIED, "round": plan.round, "attempt": plan.attempt, "candidate": digest}
    driver.beat(peer, **{**fields, **changes})


def keep_alive(driver: Driver, plan: Plan, *peers: str, seconds: float = 3.0) -> None:
    """Time passes; ``peers`` are heard, the others are not."""
    for _ in range(int(seconds * 2)):
        driver.tick(0.5)
        for peer in peers:
            driver.beat(peer, phase=Phase.TRAINING, round=plan.round, attempt=plan.attempt)


def test_everyone_present_gets_disjoint_work_and_a_shard() -> None:
    driver, plan = leading("b", "c")

    assert {m.peer for m in plan.contributors} == {"a", "b", "c"}
    spans = sorted(s for m in plan.members for s in m.spans)
    assert not any(x.overlaps(y) for x, y in zip(spans, spans[1:], strict=False))
    assert {s.owner for s in plan.shards} == {"a", "b", "c"}
    assert set(driver.sent(Plan, to="b")) == set(driver.sent(Plan, to="c")) == {plan}
    assert driver.of(ClaimUnits)


def test_a_fixed_number_of_local_steps_takes_the_place_of_a_time() -> None:
    driver, plan = leading("b", local_steps=5)

    assert [images_in(m.spans) for m in plan.contributors] == [5 * 8, 5 * 8]
    assert driver.machine.core.config.round_s > 0, "which would have given two microbatches to newcomers"


def test_each_peer_gets_work_of_parts_of_its_own() -> None:
    _, plan = leading("b", "c", parts=(250, 500, 1000))

    spans = {m.peer: (*m.spans, *m.ahead) for m in plan.contributors}
    parts = {peer: {s.start // 250 for s in own} for peer, own in spans.items()}
    assert sorted(map(min, parts.values())) == [0, 1, 2]
    assert all(len(own) == 1 for own in parts.values())


def test_a_round_is_committed_when_all_contributors_agree() -> None:
    driver, plan = leading("b")
    driver.train()
    driver.assemble(plan, "new")
    assert not driver.of(Apply)

    vote(driver, "b", plan, "new")

    record = driver.of(Apply)[0].record
    assert (record.version, record.parent_digest, record.digest) == (1, BASE, "new")
    assert record.images == images_in(tuple(s for c in record.contributions for s in c.spans))
    assert [m.record for m in driver.sent(RoundCommitted, to="b")] == [record]
    order = [type(e.message) if isinstance(e, Send) else type(e) for e in driver.all]
    assert order.index(RoundCommitted) < order.index(Apply), (
        "the others need not wait for this peer's weights"
    )
    commit = driver.of(Commit)[0]
    assert commit.records == (record,)


def test_the_next_round_starts_at_once_with_those_who_voted() -> None:
    driver, plan = leading("b")
    driver.train()
    driver.assemble(plan, "new")
    vote(driver, "b", plan, "new")

    following = driver.sent(Plan, to="b")[-1]
    assert (following.round, following.base_digest) == (2, "new")
    assert {m.peer for m in following.contributors} == {"a", "b"}


def test_a_silent_contributor_is_taken_out_and_its_spans_open_again() -> None:
    driver, plan = leading("b", "c")
    gone = plan.member("c")
    assert gone is not None

    keep_alive(driver, plan, "b")

    amended = driver.sent(Plan, to="b")[-1]
    assert (amended.round, amended.attempt, amended.first_attempt) == (1, 2, 1)
    assert amended.member("c") is None
    assert amended.member("b") == plan.member("b")
    assert "c" not in {s.owner for s in amended.shards}
    assert driver.machine.leading.conductor.planner.pool.take("d", 8)[0].start == gone.spans[0].start


def test_who_hung_up_is_taken_out_sooner_than_who_is_only_silent() -> None:
    driver, plan = leading("b", "c", silence_s=2.5, link_ended_s=1.0)

    driver.give(LinkEnded("c"))
    keep_alive(driver, plan, "b", seconds=1.0)
    assert driver.sent(Plan, to="b")[-1] == plan
    keep_alive(driver, plan, "b", seconds=0.5)

    amended = driver.sent(Plan, to="b")[-1]
    assert (amended.attempt, amended.member("c"), amended.reason) == (2, None, "without c: silent")


def test_who_is_heard_after_a_connection_ended_stays() -> None:
    driver, plan = leading("b", "c", silence_s=2.5, link_ended_s=1.0)

    driver.give(LinkEnded("c"))
    keep_alive(driver, plan, "b", "c", seconds=1.5)
    keep_alive(driver, plan, "b", seconds=2.0)

    assert driver.sent(Plan, to="b")[-1] == plan


def test_a_straggler_rides_along_and_keeps_its_spans() -> None:
    driver, plan = leading("b", "c")
    driver.train()
    for _ in range(12):
        driver.tick(0.5)
        driver.beat("b", phase=Phase.EXCHANGING, round=plan.round, attempt=plan.attempt)
        driver.beat("c", phase=Phase.TRAINING, round=plan.round, attempt=plan.attempt)

    amended = driver.sent(Plan, to="c")[-1]
    late = amended.member("c")
    assert late is not None and not late.contributes
    assert late.spans == plan.member("c").spans
    assert driver.machine.leading.conductor.planner.pool.held("c") == late.spans


def exchanging(driver: Driver, plan: Plan, *peers: str, seconds: float) -> None:
    """Time passes in which ``peers`` say that they exchange."""
    for _ in range(int(seconds * 2)):
        driver.tick(0.5)
        driver.give(LeaseRenewed(plan.term, peers_generation=1))
        for peer in peers:
            driver.beat(peer, phase=Phase.EXCHANGING, round=plan.round, attempt=plan.attempt)


def test_who_sends_its_slices_to_nobody_is_left_out_and_nobody_else() -> None:
    driver, plan = leading("b", "c", "d")
    driver.train()
    exchanging(driver, plan, "b", "c", "d", seconds=9)
    again = driver.sent(Plan, to="b")[-1]
    assert {s.owner for s in again.shards} == {"a"}, "first the leader tries to reduce all by itself"

    for index in range(len(again.shards)):
        for peer in ("a", "b", "c"):
            driver.give(SliceArrived(peer, again.term, again.round, again.first_attempt, index))
    exchanging(driver, again, "b", "c", "d", seconds=9)

    last = driver.sent(Plan, to="b")[-1]
    assert {m.peer for m in last.members} == {"a", "b", "c"}
    assert "d: nothing of theirs arrives" in last.reason


def test_different_digests_are_never_committed() -> None:
    driver, plan = leading("b", "c")
    driver.train()
    driver.assemble(plan, "new")
    vote(driver, "b", plan, "new")
    vote(driver, "c", plan, "other")

    assert not driver.of(Apply)
    again = driver.sent(Plan, to="c")[-1]
    assert again.attempt == 2 and {s.owner for s in again.shards} == {"a"}
    driver.assemble(again, "new")
    vote(driver, "b", again, "new")
    vote(driver, "c", again, "other")
    last = driver.sent(Plan, to="b")[-1]
    assert last.attempt == 3 and last.member("c") is None


def test_a_vote_for_a_former_attempt_does_not_count() -> None:
    driver, plan = leading("b", "c")
    driver.train()
    driver.hear("c", Leaving(run="run", term=1))
    amended = driver.sent(Plan, to="b")[-1]
    assert amended.attempt == 2
    driver.assemble(amended, "new")

    vote(driver, "b", plan, "new")
    assert not driver.of(Apply)
    vote(driver, "b", amended, "new")
    assert driver.of(Apply)


def test_a_joiner_is_welcomed_at_the_boundary_and_waits_for_nobody() -> None:
    driver, plan = leading("b", "c")
    driver.beat("c", phase=Phase.CATCHING_UP, version=0, digest="")
    driver.train()
    driver.hear("c", Leaving(run="run", term=1))
    driver.beat("c", phase=Phase.CATCHING_UP, version=0, digest="")
    amended = driver.sent(Plan, to="b")[-1]
    driver.assemble(amended, "new")
    vote(driver, "b", amended, "new")

    assert [(w.to, w.donors) for w in driver.of(SendWelcome)] == [("c", ("a", "b"))]
    rider = driver.sent(Plan, to="c")[-1].member("c")
    assert rider is not None and not rider.contributes and rider.spans == ()


def test_commits_wait_for_the_database_and_carry_everything_since() -> None:
    driver, plan = leading("b", commit_s=0.0)
    driver.train()
    driver.assemble(plan, "v1")
    vote(driver, "b", plan, "v1")
    driver.give(DatabaseFailed("Commit"))
    second = driver.sent(Plan, to="b")[-1]
    driver.train()
    driver.assemble(second, "v2")
    vote(driver, "b", second, "v2")
    driver.tick(2.0)
    driver.beat("b")

    assert [r.version for r in driver.of(Commit)[-1].records] == [1, 2]
    driver.give(CommitDone(2))
    assert driver.machine.core.committed_version == 2


def agree(driver: Driver, number: int) -> None:
    """The round under way becomes a version."""
    plan = driver.sent(Plan, to="b")[-1]
    driver.train()
    driver.assemble(plan, f"v{number}")
    vote(driver, "b", plan, f"v{number}")


@pytest.mark.parametrize(("took", "waits"), [(0.01, 5.0), (1.0, 10.0), (20.0, 30.0)])
def test_commits_take_a_tenth_of_the_time_at_most(took: float, waits: float) -> None:
    driver, plan = leading("b", commit_s=5.0)
    agree(driver, 1)
    driver.give(CommitDone(1), took)
    done_at = driver.now
    driver.give(LeaseRenewed(plan.term, 1))
    agree(driver, 2)
    while len(driver.of(Commit)) == 1:
        driver.tick(0.1)
        driver.beat("b")
        driver.give(LeaseRenewed(plan.term, 1))

    assert driver.now - done_at == pytest.approx(waits - took, abs=0.2)


def test_a_refused_commit_makes_the_leader_look_at_the_lease() -> None:
    driver, plan = leading("b")
    driver.give(CommitRefused(1, "term 1 does not hold the lease"))

    assert driver.machine.leadership.role is Role.FOLLOWER
    assert driver.machine.leading.conductor.watch is None or not driver.machine.leadership.may_decide


def test_a_new_leader_fetches_the_weights_of_a_peer_that_is_ahead() -> None:
    driver = Driver(others=("b",))
    driver.follow("b", version=3, digest="v3")
    driver.give(LeaseAcquired(2))
    driver.give(ProgressRead(2, 3, "v3", ()))
    driver.beat("b", version=4, digest="v4")
    driver.tick(0.5)
    assert driver.sent(SnapshotRequest, to="b")

    unconnected = Welcome(run="run", term=2, manifest=manifest(4, "v4"), ledger=(), donors=("b",))
    driver.hear("b", unconnected)
    driver.tick(2.0)

    assert driver.machine.core.version == 3, "weights that do not lead back to the commit are set aside"
    assert driver.machine.leadership.role is Role.LEADING


def test_a_contributor_that_needs_a_snapshot_holds_nobody_up() -> None:
    """It was one version behind when the round was planned, and what it was to follow by got lost."""
    driver, plan = leading("b", "c")
    spans = plan.member("b").spans
    driver.beat("b", phase=Phase.CATCHING_UP, version=0, digest="other")
    driver.beat("c", phase=Phase.TRAINING, round=plan.round, attempt=plan.attempt)
    driver.tick(0.5)

    amended = driver.sent(Plan, to="c")[-1]
    assert amended.attempt > plan.attempt and amended.reason == "without b: catching up"
    assert {m.peer for m in amended.members} == {"a", "c"}
    assert {s.owner for s in amended.shards} == {"a", "c"}
    assert driver.machine.leading.conductor.planner.pool.take_exactly("b", spans), "its spans are open again"


def test_a_new_leader_reads_who_is_there_before_its_first_plan() -> None:
    driver = Driver(others=())
    driver.give(PeersRead(1, (PeerInfo("a", True, False), PeerInfo("b", True, True))))
    driver.follow("a")
    driver.give(LeaseAcquired(2), after=1.0)
    driver.give(ProgressRead(2, 0, BASE, ()))
    driver.tick(0.5)
    assert driver.machine.leadership.role is Role.GATHERING, "b, which was gone, may be back"

    driver.give(PeersRead(2, (PeerInfo("a", True, False), PeerInfo("b", True, False))))
    driver.beat("b")
    driver.tick(0.25)
    member = driver.sent(Plan, to="b")[-1].member("b")
    assert member is not None and member.contributes


@pytest.mark.parametrize(
    ("hung_up", "ago", "waits"), [(True, 5.0, False), (True, 15.0, True), (False, 5.0, True)]
)
def test_a_new_leader_waits_for_who_is_silent_but_not_for_who_hung_up_of_late(
    hung_up: bool, ago: float, waits: bool
) -> None:
    driver = Driver(others=("b", "c"), silence_s=2.5, gather_s=1.5)
    driver.follow("c")
    driver.beat("b")
    if hung_up:
        driver.give(LinkEnded("c"))
    driver.tick(ago)
    driver.give(LeaseAcquired(2))
    driver.give(PeersRead(1, (PeerInfo("b", True, False), PeerInfo("c", True, False))))
    driver.give(ProgressRead(2, 0, BASE, ()))
    driver.beat("b")
    assert (driver.machine.leadership.role is Role.GATHERING) == waits

    driver.tick(1.6)
    assert driver.machine.leadership.role is Role.LEADING


def test_a_new_leader_does_not_wait_for_who_only_orders_images() -> None:
    driver = Driver(others=())
    driver.give(PeersRead(1, (PeerInfo("a", True, False), PeerInfo("orders", False, False))))
    driver.follow("a")
    driver.give(LeaseAcquired(2), after=1.0)
    driver.give(PeersRead(2, (PeerInfo("a", True, False), PeerInfo("orders", False, False))))
    driver.give(ProgressRead(2, 0, BASE, ()))
    driver.tick(0.25)
    assert driver.machine.leadership.role is Role.LEADING


def test_who_slept_with_the_pen_does_not_go_on_from_what_a_later_term_committed() -> None:
    driver = Driver(others=("b",))
    driver.follow("b", version=2, digest="v2")
    driver.give(LeaseAcquired(2))
    driver.give(ProgressRead(3, 3, "v3", ()))

    assert driver.machine.leadership.role is Role.FOLLOWER
    assert driver.of(ReadLease, among=driver.last), "it looks who has the pen"
    driver.tick(3.0)
    assert not driver.of(LoadFromRendezvous)


def test_progress_read_in_an_earlier_term_is_read_again() -> None:
    driver = Driver(others=())
    driver.follow("b", version=3, digest="v3")
    driver.give(LeaseAcquired(4))
    driver.give(ProgressRead(2, 3, "v3", ()))
    driver.tick(2.0)
    assert driver.machine.leadership.role is Role.GATHERING
    driver.give(ProgressRead(4, 3, "v3", ()))
    assert driver.machine.leadership.role is Role.LEADING


def test_a_new_leader_without_the_committed_weights_loads_them() -> None:
    driver = Driver(others=())
    driver.follow("b", version=3, digest="mine")
    driver.give(LeaseAcquired(2))
    driver.give(ProgressRead(2, 3, "theirs", ()))
    driver.tick(2.0)

    assert [e.version for e in driver.of(LoadFromRendezvous)] == [3]


def test_a_new_leader_lets_peers_go_on_with_what_they_hold() -> None:
    driver = Driver(others=("b",))
    driver.follow("b")
    driver.give(LeaseAcquired(2))
    driver.give(ProgressRead(2, 0, BASE, ()))
    held = (Span(0, 3, 192, 224),)
    driver.beat("b", held=held, phase=Phase.TRAINING)
    driver.tick(0.5)

    member = driver.sent(Plan, to="b")[-1].member("b")
    assert member is not None and member.spans == held and member.contributes


def test_a_leader_that_does_not_train_welcomes_those_who_will() -> None:
    driver = Driver(others=("b",), trains=False)
    driver.lead()
    driver.beat("b", phase=Phase.CATCHING_UP, version=0, digest="")
    driver.beat("b", phase=Phase.CATCHING_UP, version=0, digest="")

    assert [w.to for w in driver.of(SendWelcome)] == ["b"], "once, until it has had time to answer"


def test_a_peer_that_does_not_train_gets_shards_but_no_spans() -> None:
    driver = Driver(others=("b", "c"))
    driver.give(LeaseAcquired(1))
    driver.give(ProgressRead(1, 0, BASE, ()))
    driver.give(SnapshotInstalled(manifest(), ()))
    driver.beat("b", trains=False)
    driver.beat("c")
    driver.tick(2.0)

    plan = driver.sent(Plan, to="c")[0]
    assert {m.peer for m in plan.contributors} == {"a", "c"}
    assert "b" in {s.owner for s in plan.shards}


def test_the_next_leader_repeats_the_last_commit_to_whom_it_did_not_reach_in_time() -> None:
    driver = Driver()
    driver.follow("b")
    plan = plan_for(Member("b", (), False), Member("a", (Span(0, 0, 0, 8),), True))
    driver.hear("b", plan)
    driver.train()
    driver.assemble(plan, "next")
    candidate = driver.machine.member.candidate
    assert candidate is not None
    record = candidate.record(0)
    driver.hear("b", RoundCommitted(run="run", term=1, record=record))
    assert driver.applied == [1]

    driver.give(LeaseAcquired(2))
    driver.beat("b", version=1, digest="next")
    driver.beat("c", version=0, digest=BASE)
    assert not driver.sent(RoundCommitted)
    driver.give(ProgressRead(2, 0, BASE, ()))

    assert [(m.term, m.record) for m in driver.sent(RoundCommitted, to="c")] == [(2, record)]
    assert not driver.sent(RoundCommitted, to="b")


def test_what_contributors_told_with_their_votes_goes_with_the_commit() -> None:
    driver, plan = leading("b", commit_s=0.0)
    came_at = driver.machine.core.version_since
    mine, theirs = Losses(1.0, 0.5, 0.7, 0.2), Losses(2.0, 0.4, 0.8, 0.1)
    driver.give(TrainingDone(driver.of(Train)[-1].ticket, 100.0, mine), 1.0)
    driver.assemble(plan, "new")
    vote(driver, "b", plan, "new", losses=theirs, traffic=Traffic(7, 8))

    (metric,) = driver.of(Commit)[0].metrics
    assert metric.version == 1
    assert metric.seconds == driver.now - came_at
    assert {peer: told.losses for peer, told in metric.peers.items()} == {"a": mine, "b": theirs}
    assert {peer: told.traffic for peer, told in metric.peers.items()} == {"a": None, "b": Traffic(7, 8)}
    assert all(beat.losses is None for beat in driver.sent(Heartbeat, to="b"))
    driver.give(CommitDone(1))
    assert driver.machine.core.metrics == {}


def test_a_member_tells_with_its_vote_what_its_training_showed() -> None:
    driver = Driver()
    driver.follow()
    plan = plan_for(Member("a", (Span(0, 0, 0, 64),), True), Member("b", (), False))
    driver.hear("b", plan)
    told = Losses(1.0, 0.5, 0.7, 0.2)
    driver.give(TrainingDone(driver.of(Train)[-1].ticket, 100.0, told))
    driver.assemble(plan, "new")
    assert driver.sent(Heartbeat, to="b")[-1].candidate == "new"
    assert driver.sent(Heartbeat, to="b")[-1].losses == told


def test_a_member_tells_with_its_vote_what_the_round_took() -> None:
    driver = Driver()
    driver.follow()
    driver.hear("b", plan_for(Member("a", (Span(0, 0, 0, 64),), True), Member("b", (), False)))
    driver.train()
    driver.give(ResultArrived("b", 1, 1, 1, 0))
    driver.give(CandidateReady(1, 1, 1, "new", traffic=Traffic(2000, 1000)))
    beat = driver.sent(Heartbeat, to="b")[-1]
    assert (beat.candidate, beat.traffic) == ("new", Traffic(2000, 1000))
