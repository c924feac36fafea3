"""Who is set aside: peers whose contributions the leader itself finds invalid, three times in a row."""

from __future__ import annotations

from p2pgan.protocol.effects import Note, PeerStat, RollUp
from p2pgan.protocol.events import LeaseAcquired, LeaseLost, LeaseRenewed, ProgressRead, ReduceRejected
from p2pgan.protocol.messages import ContributionRejected, Phase, Plan
from p2pgan.protocol.standing import REJECTIONS, Standing
from tests.unit.protocol.steps import BASE, Driver


def leading(*others: str, **changes: object) -> Driver:
    driver = Driver(others=others, **changes)
    driver.lead(*others)
    return driver


def present(driver: Driver) -> Plan:
    watch = driver.machine.leading.conductor.watch
    assert watch is not None
    return watch.plan


def contributors(plan: Plan) -> set[str]:
    return {m.peer for m in plan.contributors}


def reject(driver: Driver, peer: str, reason: str = "not finite") -> None:
    """The leader, as owner of a shard, finds the slice of ``peer`` invalid."""
    plan = present(driver)
    index = next(i for i, shard in enumerate(plan.shards) if shard.owner == "a")
    driver.give(ReduceRejected(plan.term, plan.round, plan.attempt, index, peer, reason))


def accuse(driver: Driver, owner: str, peer: str) -> None:
    plan = present(driver)
    driver.hear(
        owner,
        ContributionRejected(
            run="run", term=plan.term, round=plan.round, attempt=plan.attempt, peer=peer, reason="no"
        ),
    )


def finish(driver: Driver) -> None:
    """The present round becomes a version, and the next one is planned."""
    plan = present(driver)
    digest = f"v{plan.round}"
    if plan.member("a").contributes:
        driver.train()
    driver.assemble(plan, digest)
    for peer in sorted(contributors(plan) - {"a"}):
        driver.beat(
            peer, phase=Phase.VERIFIED, round=plan.round, attempt=plan.attempt, candidate=digest,
            version=plan.base_version, digest=plan.base_digest,
        )  # fmt: skip
    for peer in driver.machine.core.peers:
        driver.beat(peer)
    driver.tick(0.5)
    driver.give(LeaseRenewed(driver.machine.core.term, 1))


def let_contribute(driver: Driver, peer: str) -> None:
    """Who was left out of a round rides along in the next one."""
    if peer not in contributors(present(driver)):
        finish(driver)
    assert peer in contributors(present(driver))


def reject_once(driver: Driver, peer: str, reason: str = "not finite") -> None:
    """In the next round to which ``peer`` contributes."""
    let_contribute(driver, peer)
    reject(driver, peer, reason)
    finish(driver)


def test_three_rejections_in_a_row_set_a_peer_aside() -> None:
    driver = leading("b", "c")
    for _ in range(REJECTIONS):
        reject_once(driver, "c")
    finish(driver)

    plan = present(driver)
    member = plan.member("c")
    assert member is not None
    assert (member.contributes, member.spans) == (False, ()), "it follows, without work"
    assert "c" not in {s.owner for s in plan.shards}
    assert contributors(plan) == {"a", "b"}
    notes = [note.text for note in driver.of(Note) if note.kind == "peer"]
    assert notes == ["c is set aside for 120 s, rejected 3 times in a row, last: not finite"]


def test_the_roll_up_says_what_is_in_hand_and_who_is_reached() -> None:
    driver = leading("b", "c")
    plan = present(driver)
    driver.beat("b", round=plan.round, attempt=plan.attempt)
    driver.beat("c")
    driver.tick(3.0)

    last = driver.of(RollUp)[-1]
    assert {s.peer: s.reached for s in last.stats} == {"a": True, "b": True, "c": False}
    for stat in last.stats:
        member = plan.member(stat.peer)
        assert member is not None
        assert stat.spans == len(member.spans) > 0


def test_the_roll_up_says_why() -> None:
    driver = leading("b")
    for _ in range(REJECTIONS):
        reject_once(driver, "b", "a vector came short")
    driver.tick(3.0)
    driver.beat("b")
    driver.tick(3.0)

    last = driver.of(RollUp)[-1]
    reasons = {stat.peer: stat.set_aside for stat in last.stats}
    assert reasons == {"a": "", "b": "a vector came short"}
    assert PeerStat("x", True, 0.0, 0, "").set_aside == ""


def test_a_contribution_that_counts_wipes_the_slate_clean() -> None:
    driver = leading("b", "c")
    for _ in range(3):
        for _ in range(REJECTIONS - 1):
            reject_once(driver, "c")
        let_contribute(driver, "c")
        finish(driver)

    let_contribute(driver, "c")


def test_its_work_goes_to_others() -> None:
    driver = leading("b", "c")
    lost = present(driver).member("c").spans
    reject(driver, "c")
    finish(driver)

    given = {span for m in present(driver).contributors for span in m.spans}
    assert set(lost) <= given


def test_another_owners_word_makes_the_leader_look_itself() -> None:
    driver = leading("b", "c")

    accuse(driver, "b", "c")

    plan = present(driver)
    assert contributors(plan) == {"a", "b", "c"}
    assert {s.owner for s in plan.shards} == {"a"}
    accuse(driver, "b", "c")
    assert present(driver) == plan, "who owns no shard has no say"


def test_nobody_is_set_aside_on_anothers_word() -> None:
    driver = leading("b", "c")
    for _ in range(2 * REJECTIONS):
        accuse(driver, "b", "c")
        finish(driver)

    assert contributors(present(driver)) == {"a", "b", "c"}


def test_an_owner_cannot_push_the_leader_out_of_its_round() -> None:
    driver = leading("b", "c")

    accuse(driver, "b", "a")

    assert contributors(present(driver)) == {"a", "b", "c"}


def test_a_rejection_of_an_earlier_attempt_changes_nothing() -> None:
    driver = leading("b", "c", "d")
    before = present(driver)
    reject(driver, "c")
    after = present(driver)
    driver.give(ReduceRejected(before.term, before.round, before.attempt, 0, "d", "late"))

    assert present(driver) == after


def test_who_is_set_aside_does_not_get_the_pen() -> None:
    driver = leading("b")
    for _ in range(REJECTIONS):
        reject_once(driver, "b")

    assert driver.machine.leading.successor() is None


def test_another_term_is_another_chance() -> None:
    driver = leading("b", "c")
    for _ in range(REJECTIONS):
        reject_once(driver, "c")
    driver.give(LeaseLost(1))
    driver.give(LeaseAcquired(3))
    driver.give(ProgressRead(3, 0, BASE, ()))
    for peer in ("b", "c"):
        driver.beat(peer)
    driver.tick(2.0)

    assert "c" in contributors(present(driver))


def test_time_is_another_chance() -> None:
    driver = leading("b", "c", set_aside_s=3.0)
    for _ in range(REJECTIONS):
        reject_once(driver, "c")
    for _ in range(8):
        finish(driver)

    assert "c" in contributors(present(driver))


def test_counts_are_kept_for_each_peer() -> None:
    standing = Standing(Driver().machine.core)

    assert [standing.rejected(peer, "why") for peer in "xyxyx"] == [False, False, False, False, True]
    assert (standing.why("x"), standing.why("y")) == ("why", "")
