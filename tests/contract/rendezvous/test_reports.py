from __future__ import annotations

import psycopg
import pytest

from p2pgan.errors import RunError
from p2pgan.protocol.ids import Span
from p2pgan.rendezvous import PeerStat
from tests.contract.rendezvous.scenes import IMAGES, UNIT, Scene


def test_the_keys_of_a_status_stay(scene: Scene) -> None:
    status = scene.rendezvous.status(scene.run.id)
    assert list(status) == [
        "run",
        "version",
        "committed_version",
        "digest",
        "term",
        "leader",
        "epoch",
        "images",
        "images_per_s",
        "last_commit_age_s",
        "units",
        "peers",
        "signals",
        "traffic",
        "best_version",
        "scores",
    ]
    assert list(status["units"]) == ["open", "leased", "done"]
    assert list(status["peers"][0]) == [
        "id",
        "name",
        "state",
        "device",
        "images_per_s",
        "last_seen_s",
        "version",
        "digest",
        "set_aside",
        "offences",
        "spans",
        "reached",
        "signals",
        "traffic",
    ]


def test_a_status_tells_the_run_as_it_is(scene: Scene) -> None:
    record = scene.record(("A", Span(0, 0, 0, 300)))
    assert scene.commit(record).committed
    stats = [PeerStat("A", "active", 10.5, 3, "v3"), PeerStat("B", "lost", 99.0, 7, "v7")]
    assert scene.rendezvous.roll_up(scene.run.id, "A", 1, stats)
    status = scene.rendezvous.status(scene.run.id)
    assert (status["run"], status["version"], status["committed_version"]) == (scene.run.name, 3, 1)
    assert (status["digest"], status["term"], status["leader"]) == (record.digest, 1, "A")
    assert (status["epoch"], status["images"], status["images_per_s"]) == (0, 300, 10.5)
    assert [(p["id"], p["state"], p["version"]) for p in status["peers"]] == [
        ("A", "active", 3),
        ("B", "lost", 7),
    ]
    assert status["last_commit_age_s"] >= 0


def test_who_left_trains_nothing_and_after_the_end_nobody_leads_or_works(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id
    stats = [PeerStat("A", "active", 10.5, 0, "v0"), PeerStat("B", "active", 99.0, 0, "v0")]
    assert rendezvous.roll_up(run, "A", 1, stats)
    claimed = [(0, unit, unit * UNIT, min(unit * UNIT + UNIT, IMAGES)) for unit in range(4)]
    assert rendezvous.claim_units(run, 1, "A", claimed, lease_s=60)
    rendezvous.set_peer_state(run, "B", "left")
    status = rendezvous.status(run)
    assert {p["id"]: p["images_per_s"] for p in status["peers"]} == {"A": 10.5, "B": 0}
    assert (status["leader"], status["units"]) == ("A", {"open": 0, "leased": 4, "done": 0})
    assert rendezvous.finish_run(run, "A", 1)
    status = rendezvous.status(run)
    assert (status["leader"], status["units"]) == (None, {"open": 4, "leased": 0, "done": 0})


def test_who_is_set_aside_shows_until_the_leader_says_otherwise(scene: Scene) -> None:
    def reasons() -> dict[str, str]:
        return {p["id"]: p["set_aside"] for p in scene.rendezvous.status(scene.run.id)["peers"]}

    for why, shown in (("sent\x1b[2J nonsense", "sent [2J nonsense"), ("", "")):
        stats = [PeerStat("A", "active", 1.0, 1, "v1"), PeerStat("B", "active", 1.0, 1, "v1", why)]
        assert scene.rendezvous.roll_up(scene.run.id, "A", 1, stats)
        assert reasons() == {"A": "", "B": shown}


def test_units_of_epochs_that_are_done_count_as_done(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id
    whole = [Span(0, 0, 0, 300), Span(0, 1, 300, 600), Span(0, 2, 600, 900), Span(0, 3, 900, 1000)]
    scene.record(*(("A", span) for span in whole))
    assert scene.commit(*scene.records).committed
    assert rendezvous.status(run)["epoch"] == 1
    assert rendezvous.status(run)["units"] == {"open": 0, "leased": 0, "done": 4}
    assert rendezvous.claim_units(run, 1, "A", [(1, 0, 0, UNIT), (1, 1, UNIT, 2 * UNIT)], 3600)
    assert rendezvous.status(run)["units"] == {"open": 2, "leased": 2, "done": 4}
    scene.record(("B", Span(1, 1, 300, 600)))
    assert scene.commit(scene.records[-1]).committed
    assert rendezvous.status(run)["units"] == {"open": 2, "leased": 1, "done": 5}


def test_nobody_leads_once_the_lease_ran_out(scene: Scene) -> None:
    assert scene.rendezvous.renew_lease(scene.run.id, "A", 1, 0) is not None
    assert scene.rendezvous.status(scene.run.id)["leader"] is None


def test_what_an_earlier_leader_handed_out_is_open(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id
    units = {"leased": {"open": 3, "leased": 1, "done": 0}, "open": {"open": 4, "leased": 0, "done": 0}}
    assert rendezvous.claim_units(run, 1, "A", [(0, 0, 0, UNIT)], 3600)
    assert rendezvous.status(run)["units"] == units["leased"]
    assert rendezvous.release_lease(run, "A", 1, None, 0)
    assert rendezvous.status(run)["units"] == units["open"]
    taken = rendezvous.acquire_lease(run, "B", 3600)
    assert taken is not None
    assert rendezvous.status(run)["units"] == units["open"]
    assert rendezvous.claim_units(run, taken.term, "B", [(0, 0, 0, UNIT)], 3600)
    assert rendezvous.status(run)["units"] == units["leased"]


@pytest.mark.parametrize("time", ["infinity", "-infinity"])
@pytest.mark.parametrize("pace", ["NaN", "Infinity", "-Infinity"])
def test_no_time_and_no_speed_breaks_what_is_shown(server: str, scene: Scene, time: str, pace: str) -> None:
    run = scene.run.id
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            "update p2pgan.peers set last_seen = %s, images_per_s = %s where run_id = %s and id = 'B'",
            [time, pace, run],
        )
        admin.execute("update p2pgan.runs set committed_at = %s where id = %s", [time, run])
    status = scene.rendezvous.status(run)
    shown = {peer["id"]: peer for peer in status["peers"]}["B"]
    listed = {peer.id: peer for peer in scene.rendezvous.list_peers(run).peers}["B"]
    login = next(r for r in scene.rendezvous.list_logins() if (r.run, r.peer) == (scene.run.name, "B"))
    ages = [status["last_commit_age_s"], shown["last_seen_s"], listed.last_seen_s, login.last_seen_s]
    assert all(isinstance(age, float | int) and 0 <= age < 1e12 for age in ages)
    assert (status["images_per_s"], shown["images_per_s"]) == (0, 0)


def test_a_run_that_is_not_there_has_no_status(scene: Scene) -> None:
    with pytest.raises(RunError):
        scene.rendezvous.status(-1)


def test_samples_and_events_are_kept_in_order(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id
    rendezvous.write_sample(run, 2, b"\x89PNG two")
    rendezvous.write_sample(run, 1, b"\x89PNG one")
    rendezvous.write_sample(run, 2, b"\x89PNG two again")
    assert [(s.version, s.png) for s in rendezvous.samples(run)] == [
        (1, b"\x89PNG one"),
        (2, b"\x89PNG two again"),
    ]
    rendezvous.write_event(run, "A", "elected", "took the pen in term 1")
    rendezvous.write_event(run, None, "note", "50% done")
    assert [(e.peer, e.kind, e.text) for e in rendezvous.events(run)] == [
        ("A", "elected", "took the pen in term 1"),
        (None, "note", "50% done"),
    ]
