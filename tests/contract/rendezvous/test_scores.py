"""Scores of versions, and the one whose weights are kept for them."""

from __future__ import annotations

import psycopg
import pytest

from p2pgan.errors import RendezvousRefused
from p2pgan.protocol.ids import Span
from p2pgan.rendezvous import Rendezvous, ScoreRow
from tests.contract.rendezvous.guests import Guest
from tests.contract.rendezvous.scenes import Scene, open_scene


def score(version: int, fid: float, digest: str = "d", images: int = 100) -> ScoreRow:
    return ScoreRow(version, fid, 0.5, images, "builtin", digest)


def commit(scene: Scene) -> int:
    """One more version of ten images."""
    first = 10 * len(scene.records)
    record = scene.record(("A", Span(0, 0, first, first + 10)))
    assert scene.commit(record).committed
    return record.version


def kept(scene: Scene) -> set[int]:
    return {v.version for v in scene.rendezvous.newest_versions(scene.run.id, 99) if v.stored}


@pytest.fixture
def brief(rendezvous: Rendezvous) -> Scene:
    """A run that keeps the last version only."""
    return open_scene(rendezvous, keep_last=1, milestone_every=1000)


def test_weights_are_kept_while_they_are_scored_and_for_good_while_they_are_the_best(brief: Scene) -> None:
    db, run = brief.rendezvous, brief.run.id
    assert db.best_version(run) is None
    for version, fid in ((1, 5.0), (2, 3.0), (3, 4.0)):
        assert commit(brief) == version
        assert db.begin_score(run, "A", version)
        db.write_score(run, "A", score(version, fid))
    assert db.best_version(run) == 2
    commit(brief)
    assert kept(brief) == {0, 2, 4}
    assert db.begin_score(run, "A", 4)
    commit(brief)
    commit(brief)
    assert kept(brief) == {0, 2, 4, 6}
    db.write_score(run, "A", score(4, 1.0))
    commit(brief)
    assert kept(brief) == {0, 4, 7}


def test_a_score_that_nobody_finishes_keeps_weights_for_minutes_only(server: str, brief: Scene) -> None:
    commit(brief)
    assert brief.rendezvous.begin_score(brief.run.id, "A", 1)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("update p2pgan.scores set begun_at = begun_at - interval '11 min' where fid is null")
    commit(brief)
    assert kept(brief) == {0, 2}


def test_only_what_compares_is_compared(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    told = (score(1, 1.0, digest="other"), score(2, 2.0, images=50), score(3, 4.0), score(4, 5.0))
    for one in told:
        commit(scene)
        assert db.begin_score(run, "A", one.version)
        db.write_score(run, "A", one)
    assert db.best_version(run) == 3
    status = db.status(run)
    assert status["best_version"] == 3
    assert [(s["version"], s["fid"]) for s in status["scores"]] == [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0)]
    assert [(s.version, s.fid, s.floor) for s in db.score_curve(run, 0, 9, 500)] == [
        (3, 4.0, 0.5),
        (4, 5.0, 0.5),
    ]
    assert [(s.version, s.fid) for s in db.score_curve(run, 0, 9, 1)] == [(4, 4.5)]
    assert [s.version for s in db.score_curve(run, 4, 9, 500)] == [4]


def test_a_version_is_scored_once_and_by_who_led_it(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    commit(scene)
    assert not db.begin_score(run, "B", 1)
    assert not db.begin_score(run, "A", 2)
    assert db.begin_score(run, "A", 1)
    assert not db.begin_score(run, "A", 1)
    db.write_score(run, "B", score(1, 9.0))
    db.write_score(run, "A", score(1, 1.0))
    db.write_score(run, "A", score(1, 7.0))
    assert [s["fid"] for s in db.status(run)["scores"]] == [1.0]


def test_an_invited_login_scores_what_it_committed_alone(scene: Scene, mallory: Guest) -> None:
    commit(scene)
    with pytest.raises(RendezvousRefused):
        mallory.rendezvous.begin_score(scene.run.id, "A", 1)
    assert not mallory.rendezvous.begin_score(scene.run.id, mallory.login, 1)
    assert mallory.rendezvous.best_version(scene.run.id) is None


def test_the_score_of_a_version_or_of_the_newest_before_it(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    for number in range(1, 6):
        commit(scene)
        if number in (2, 4, 5):
            assert db.begin_score(run, "A", number)
        if number in (2, 4):
            db.write_score(run, "A", score(number, float(number)))
    found = [db.score_up_to(run, version) for version in range(6)]
    assert [one and one.version for one in found] == [None, None, 2, 2, 4, 4]
    assert found[4] == score(4, 4.0)
