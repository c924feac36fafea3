"""Going back to weights of before, on real servers: nothing is rewritten, and the leader is fenced off."""

from __future__ import annotations

import pytest
from msgspec import structs

from p2pgan.errors import RendezvousRefused, RunError
from p2pgan.protocol.ids import Span
from p2pgan.protocol.metrics import Losses, PeerMetric, RoundMetric, Signals
from p2pgan.rendezvous import Rendezvous, audit_run
from tests.contract.rendezvous.guests import Guest
from tests.contract.rendezvous.scenes import Scene, open_scene


def commit(scene: Scene, *spans: tuple[int, int]) -> None:
    """One version for each span."""
    for start, stop in spans:
        assert scene.commit(scene.record(("A", Span(0, start // 300, start, stop)))).committed


@pytest.fixture
def two(scene: Scene) -> Scene:
    """A run at version 2."""
    commit(scene, (0, 100), (100, 200))
    return scene


def test_old_weights_become_a_new_version(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    before = db.read_history(run)
    assert db.roll_back(run, 1) == 3
    history = db.read_history(run)
    assert history[:2] == before
    assert (history[2].digest, history[2].parent_digest) == (before[0].digest, before[1].digest)
    assert (history[2].images, history[2].contributions, history[2].term) == (200, (), 2)
    head = db.read_progress(run)
    assert (head.version, head.digest, head.made_in, head.images) == (3, before[0].digest, 2, 200)
    assert head.epochs[0].done == ((0, 200),)
    assert db.read_manifest(run).chunks == db.read_manifest(run, 1).chunks
    (mark,) = db.events_page(run, 9, kind="rollback")
    assert (mark.text, mark.mark) == ("the run went back to the weights of version 1, as version 3", True)
    assert audit_run(db, db.find_run(two.run.name), {})[1] == []


def test_the_leader_that_lives_is_fenced_off(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    db.roll_back(run, 1)
    assert db.renew_lease(run, "A", 1, 60) is None
    outcome = two.commit(two.record(("A", Span(0, 0, 200, 300))))
    assert not outcome.committed
    assert "the pen of term 1 is lost: nobody holds it in term 2" in outcome.reason


def test_whoever_takes_the_pen_goes_on_from_there(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    db.roll_back(run, 1)
    lease = db.acquire_lease(run, "B", 60)
    assert lease is not None and lease.term == 3
    stale = two.record(("B", Span(0, 0, 200, 300)))
    refused = two.commit(stale, peer="B", term=3)
    assert "committed with another digest" in refused.reason
    two.records[-1:] = [db.read_history(run)[2]]
    fresh = structs.replace(two.record(("B", Span(0, 0, 200, 300))), term=3, leader="B")
    assert two.commit(fresh, peer="B", term=3).committed
    assert audit_run(db, db.find_run(two.run.name), {})[1] == []


def test_the_weights_stay_when_the_version_they_came_from_is_pruned(rendezvous: Rendezvous) -> None:
    scene = open_scene(rendezvous, keep_last=2)
    commit(scene, (0, 100), (100, 200))
    db, run = scene.rendezvous, scene.run.id
    blob = list(db.read_chunks(run, db.read_manifest(run, 1).chunks))
    db.roll_back(run, 1)
    assert [v.version for v in db.newest_versions(run, 9) if v.stored] == [3, 2, 0]
    assert list(db.read_chunks(run, db.read_manifest(run).chunks)) == blob


def test_back_and_forth(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    assert [db.roll_back(run, 1), db.roll_back(run, 2), db.roll_back(run, 0)] == [3, 4, 5]
    assert audit_run(db, db.find_run(two.run.name), {})[1] == []


@pytest.mark.parametrize(
    ("version", "line"),
    [(7, "weights of version 7 are not stored"), (2, "version 2 has the weights of version 2")],
)
def test_what_cannot_be_changes_nothing(two: Scene, version: int, line: str) -> None:
    db, run = two.rendezvous, two.run.id
    with pytest.raises(RunError, match=f"nothing changed: .*{line}; weights are kept of 0, 1, 2"):
        db.roll_back(run, version)
    assert db.renew_lease(run, "A", 1, 60) is not None
    assert db.read_progress(run).version == 2


def test_a_finished_run_stays_as_it_is(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    assert db.finish_run(run, "A", 1)
    with pytest.raises(RunError, match="the run is finished"):
        db.roll_back(run, 1)


def test_an_invited_login_takes_nobody_back(two: Scene, mallory: Guest) -> None:
    with pytest.raises(RendezvousRefused):
        mallory.rendezvous.roll_back(two.run.id, 1)
    assert two.rendezvous.read_progress(two.run.id).version == 2


LIMITS = {"diversity": 0.05, "apart": 0.02, "gradient": 1e-6}
FALLEN = Losses(1, 1, 0.5, 0.5, Signals(0.0, 0.0, 0.0, None, None, 0.6))
ONE_IMAGE = Losses(1, 1, 0.6, 0.4, Signals(0.5, 1.0, 1.0, None, None, 0.01))
WELL = Losses(1, 1, 0.6, 0.4, Signals(0.5, 1.0, 1.0, None, None, 0.6))


def show(scene: Scene, shown: dict[int, Losses]) -> None:
    told = [RoundMetric(number, 1.0, {"A": PeerMetric(1.0, losses)}) for number, losses in shown.items()]
    scene.rendezvous.write_metrics(scene.run.id, "A", told)


def test_the_way_back_leads_to_the_last_version_that_was_well(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    assert db.sound_version(run, **LIMITS) == 2, "nothing is known of any"
    show(two, {1: WELL, 2: FALLEN})
    assert db.sound_version(run, **LIMITS) == 1
    assert db.sound_version(run, **{**LIMITS, "diversity": 0.7}) is None


def test_the_way_back_leads_past_a_version_of_which_nothing_is_known(two: Scene) -> None:
    show(two, {1: WELL})
    assert two.rendezvous.sound_version(two.run.id, **LIMITS) == 1


def test_a_version_of_which_nothing_is_known_is_better_than_one_that_was_ill(two: Scene) -> None:
    show(two, {1: ONE_IMAGE})
    assert two.rendezvous.sound_version(two.run.id, **LIMITS) == 2


def test_who_went_back_to_ill_weights_is_not_led_to_them_again(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    show(two, {1: ONE_IMAGE, 2: FALLEN})
    assert db.roll_back(run, 1) == 3
    assert db.sound_version(run, **LIMITS) is None


def test_who_went_back_to_sound_weights_is_led_to_them_again(two: Scene) -> None:
    db, run = two.rendezvous, two.run.id
    show(two, {1: WELL, 2: FALLEN})
    assert db.roll_back(run, 1) == 3
    assert db.sound_version(run, **LIMITS) == 3
