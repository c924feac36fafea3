"""From which weights a new leader goes on: versions, digests, and the terms of their rounds."""

from __future__ import annotations

import pytest

from p2pgan.protocol.effects import LoadFromRendezvous
from p2pgan.protocol.events import (
    LeaseAcquired,
    LinkEnded,
    PeerInfo,
    PeersRead,
    ProgressRead,
    SnapshotInstalled,
)
from p2pgan.protocol.gathering import leads_back
from p2pgan.protocol.ids import VersionRecord
from p2pgan.protocol.leadership import Role
from p2pgan.protocol.messages import Member, RoundCommitted, SnapshotRequest, Welcome
from tests.unit.protocol.steps import BASE, Driver, manifest, plan_for


def record(version: int, term: int) -> VersionRecord:
    return VersionRecord(version, f"v{version}", f"v{version - 1}", term, 1, "b", 0, ())


def welcome(*records: VersionRecord) -> Welcome:
    last = records[-1]
    offered = manifest(last.version, last.digest)
    return Welcome(run="run", term=9, manifest=offered, ledger=records, donors=("b",))


@pytest.mark.parametrize(
    ("records", "made_in", "leads"),
    [
        ((record(3, 2), record(4, 2)), 2, True),
        ((record(4, 2),), 2, True),
        ((record(3, 1), record(4, 3)), 2, True),  # version 3 was made twice, and is the same
        ((record(3, 1), record(4, 1)), 2, False),
        ((record(4, 3), record(5, 2)), 2, False),
        ((record(5, 3),), 2, False),
    ],
)
def test_a_ledger_leads_back_to_a_version_of_no_later_term(
    records: tuple[VersionRecord, ...], made_in: int, leads: bool
) -> None:
    assert leads_back(welcome(*records), ProgressRead(9, 3, "v3", (), made_in)) == leads


@pytest.mark.parametrize(("made_in", "stays"), [(1, True), (2, False)])
def test_what_followed_on_the_same_weights_before_they_were_made_anew_is_given_up(
    made_in: int, stays: bool
) -> None:
    """A training repeated bit by bit gives the same version in a later term."""
    driver = Driver(others=())
    driver.follow("b")
    driver.give(SnapshotInstalled(manifest(4, "v4"), (record(3, 1), record(4, 1))))
    driver.give(LeaseAcquired(3))
    driver.give(ProgressRead(3, 3, "v3", (), made_in))
    driver.tick(2.0)

    assert [e.version for e in driver.of(LoadFromRendezvous)] == ([] if stays else [3])
    assert (driver.machine.leadership.role is Role.LEADING) == stays


@pytest.mark.parametrize(("made_in", "applied"), [(1, [1]), (2, [])])
def test_a_candidate_of_an_older_term_than_its_base_is_asked_for_and_not_applied(
    made_in: int, applied: list[int]
) -> None:
    driver = Driver(others=("b",))
    driver.follow("b")
    driver.hear("b", plan := plan_for(Member("b", (), False), Member("a", (), True)))
    driver.assemble(plan, "v1")
    assert driver.machine.member.candidate is not None
    driver.give(LeaseAcquired(3))
    driver.give(ProgressRead(3, 0, BASE, (), made_in))
    driver.beat("b", version=1, digest="v1")
    driver.tick(0.25)

    assert driver.applied == applied
    assert bool(driver.sent(SnapshotRequest, to="b")) != bool(applied)
    assert not driver.sent(RoundCommitted)


def test_of_several_ends_of_a_connection_the_last_one_says_when_a_peer_hung_up() -> None:
    driver = Driver(others=("b", "c"))
    driver.follow("c")
    driver.give(LinkEnded("c"))
    driver.tick(15.0)
    driver.give(LinkEnded("c"))
    driver.give(LeaseAcquired(2))
    driver.give(PeersRead(1, (PeerInfo("b", True, False), PeerInfo("c", True, False))))
    driver.give(ProgressRead(2, 0, BASE, ()))
    driver.beat("b")

    assert driver.machine.leadership.role is Role.LEADING, "nobody waits for c"
