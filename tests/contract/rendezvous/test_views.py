"""What the dashboard reads: metrics by version, marks, cells, pages."""

from __future__ import annotations

import time

import psycopg
import pytest

from p2pgan.errors import RendezvousRefused, RendezvousUnavailable, RunError
from p2pgan.protocol.ids import Span
from p2pgan.protocol.metrics import Agreement, Losses, PeerMetric, RoundMetric, Signals, Traffic
from p2pgan.rendezvous import PeerStat, Rendezvous
from tests.contract.rendezvous.guests import Guest
from tests.contract.rendezvous.scenes import UNIT, Scene, open_scene


def metric(version: int, **losses: tuple[float, float, float, float] | None) -> RoundMetric:
    peers = {p: PeerMetric(10.0, None if told is None else Losses(*told)) for p, told in losses.items()}
    return RoundMetric(version, 2.0, peers)


def two_versions(scene: Scene) -> None:
    scene.record(("A", Span(0, 0, 0, 100)), ("B", Span(0, 0, 100, 300)))
    scene.record(("A", Span(0, 1, 300, 400)))
    assert scene.commit(*scene.records).committed


def test_curves_are_means_over_images_and_only_of_what_is_committed(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    two_versions(scene)
    first = metric(1, A=(3.0, 0.3, 0.6, 0.0), B=(6.0, 0.6, 0.9, 0.3))
    db.write_metrics(run, "A", [first, metric(2, A=None), metric(3, A=(1, 1, 1, 1))])
    points = db.curves(run, 0, 100, 500)
    assert [(p.version, p.loss_g, p.images_per_s, p.round_s) for p in points] == [
        (1, 5.0, 150.0, 2.0),
        (2, None, 100.0, 2.0),
    ]
    assert points[0].loss_d == pytest.approx(0.5) and points[0].d_real == pytest.approx(0.8)
    of_peers = [(p.peer, p.version, p.loss_g, p.images_per_s) for p in db.peer_curves(run, "AB", 0, 9, 500)]
    assert of_peers == [("A", 1, 3.0, 10.0), ("A", 2, None, 10.0), ("B", 1, 6.0, 10.0)]
    assert [p.version for p in db.curves(run, 2, 100, 500)] == [2]
    assert db.curves(run, 5, 3, 500) == ()


def test_a_speed_is_no_spike_where_a_version_is_over_in_no_time(scene: Scene) -> None:
    """As at a handover: few are in the long first round, what others trained then is in the second."""
    db, run = scene.rendezvous, scene.run.id
    seconds = {
        (0, 100): 2.0,
        (100, 200): 2.0,
        (200, 300): 2.0,
        (300, 410): 6.0,
        (410, 600): 0.02,
        (600, 710): 2.0,
    }
    for begin, end in seconds:
        scene.record(("A", Span(0, begin // UNIT, begin, end)))
    assert scene.commit(*scene.records).committed
    told = [
        RoundMetric(version, took, {"A": PeerMetric(50.0, None)})
        for version, took in enumerate(seconds.values(), 1)
    ]
    db.write_metrics(run, "A", told)
    speeds = {p.version: p.images_per_s for p in db.curves(run, 0, 100, 500)}
    assert speeds[5] == pytest.approx(600 / 12.02)
    assert all(speed is not None and 30 < speed < 55 for speed in speeds.values())
    closer = {p.version: p.images_per_s for p in db.curves(run, 5, 6, 500)}
    assert closer == {5: speeds[5], 6: speeds[6]}, "a closer look shows the same"
    (whole,) = db.curves(run, 0, 100, 1)
    assert whole.images_per_s is not None and 30 < whole.images_per_s < 55


def test_signals_are_means_over_those_who_told_them(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    two_versions(scene)
    ada = Losses(1, 1, 0.5, 0.5, Signals(0.5, 1.0, 2.0, None, 0.25, 0.5), Agreement(0.9, 0.4))
    bob = Losses(1, 1, 0.5, 0.5, Signals(0.2, 4.0, 2.0, 7.0), None)
    db.write_metrics(
        run, "A", [RoundMetric(1, 2.0, {"A": PeerMetric(10.0, ada), "B": PeerMetric(10.0, bob)})]
    )
    (point,) = db.curves(run, 0, 100, 500)
    assert (point.sign_real, point.grad_g) == pytest.approx((0.3, 3.0))
    assert (point.r1, point.sign_held_out, point.diversity) == (7.0, 0.25, 0.5)
    assert (point.cosine, point.drift) == pytest.approx((0.9, 0.4))
    status = db.status(run)
    assert status["signals"] is not None
    assert status["signals"]["version"] == 1
    assert status["signals"]["sign_real"] == pytest.approx(0.3)
    of_peers = {peer["id"]: peer["signals"] for peer in status["peers"]}
    assert of_peers["A"] is not None and of_peers["A"]["cosine"] == pytest.approx(0.9)
    assert of_peers["B"] is not None and of_peers["B"]["cosine"] is None


def test_bytes_are_means_over_peers_who_told_them(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    two_versions(scene)
    ada, bob = Traffic(1000, 400), Traffic(500, 10**15)
    told = {"A": PeerMetric(10.0, None, ada), "B": PeerMetric(10.0, None, bob)}
    db.write_metrics(run, "A", [RoundMetric(1, 2.0, told)])
    means = [(p.version, p.bytes_sent, p.bytes_received) for p in db.curves(run, 0, 100, 500)]
    assert means == [(1, 750.0, (400 + 10**15) / 2)]
    of_peers = {(p.peer, p.version): p.bytes_sent for p in db.peer_curves(run, "AB", 0, 9, 500)}
    assert of_peers == {("A", 1): 1000.0, ("B", 1): 500.0}
    status = db.status(run)
    assert status["traffic"] == {"version": 1, "sent": 750, "received": (400 + 10**15) // 2}
    assert {p["id"]: p["traffic"] for p in status["peers"]} == {
        "A": {"version": 1, "sent": 1000, "received": 400},
        "B": {"version": 1, "sent": 500, "received": 10**15},
    }
    db.write_metrics(run, "A", [RoundMetric(2, 2.0, {"A": PeerMetric(9.0, None)})])
    assert [p.bytes_sent for p in db.curves(run, 2, 2, 500)] == [None]
    assert db.status(run)["traffic"] is None


def test_a_round_that_waited_for_weeks_is_written_as_well(scene: Scene) -> None:
    two_versions(scene)
    told = RoundMetric(1, 1e12, {"A": PeerMetric(1e12, Losses(1e6, -1e6, 1.0, 0.0))})
    scene.rendezvous.write_metrics(scene.run.id, "A", [told])
    (point,) = scene.rendezvous.curves(scene.run.id, 0, 9, 9)
    assert (point.round_s, point.loss_g, point.loss_d) == (1e6, 1e6, -1e6)


def test_metrics_are_told_once_by_who_led_the_round_and_of_contributors_alone(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    two_versions(scene)
    db.write_metrics(run, "B", [metric(1, A=(9, 9, 1, 1))])
    assert db.curves(run, 0, 9, 500) == ()
    db.write_metrics(run, "A", [metric(2, A=(1, 1, 1, 1), B=(9, 9, 1, 1))])
    db.write_metrics(run, "A", [metric(2, A=(7, 7, 0, 0))])
    assert [(p.version, p.loss_g) for p in db.curves(run, 0, 9, 500)] == [(2, 1.0)]
    assert db.peer_curves(run, ["B"], 0, 9, 500) == ()


def test_an_invited_login_tells_of_what_it_committed_alone(scene: Scene, mallory: Guest) -> None:
    two_versions(scene)
    with pytest.raises(RendezvousRefused):
        mallory.rendezvous.write_metrics(scene.run.id, "A", [metric(1, A=(9, 9, 1, 1))])
    mallory.rendezvous.write_metrics(scene.run.id, mallory.login, [metric(1, A=(9, 9, 1, 1))])
    assert scene.rendezvous.curves(scene.run.id, 0, 9, 500) == ()


def test_the_database_marks_who_comes_and_goes_and_who_holds_the_pen(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    two_versions(scene)
    for state, why in (("active", ""), ("active", "sent nonsense"), ("active", "again"), ("active", "")):
        assert db.roll_up(run, "A", 1, [PeerStat("B", state, 1.0, 1, "v1", why)])  # type: ignore[arg-type]
    assert db.roll_up(run, "A", 1, [PeerStat("B", "lost", 1.0, 1, "v1")])
    assert db.roll_up(run, "A", 1, [PeerStat("B", "active", 1.0, 1, "v1")])
    db.set_peer_state(run, "B", "left")
    scene.take_pen("B")
    kinds = [(e.kind, e.peer, e.text) for e in reversed(db.events_page(run, 50, marks=True))]
    assert kinds == [
        ("joined", "A", "joined"),
        ("joined", "B", "joined"),
        ("pen", "A", "holds the pen of term 1"),
        ("set aside", "B", "was set aside: sent nonsense"),
        ("set aside", "B", "gets work again"),
        ("lost", "B", "was lost: nothing was heard of it any more"),
        ("joined", "B", "is back"),
        ("left", "B", "left"),
        ("pen", "B", "holds the pen of term 2"),
    ]
    marks = [(m.version, m.kind, m.name, m.number) for m in db.marks(run, 0, 100, 500)]
    assert ("pen", "name of B") in {(kind, name) for version, kind, name, _ in marks if version == 2}
    assert (2, "set aside", "name of B", 2) in marks


def test_a_lease_renewed_late_is_a_mark_that_the_database_was_away(server: str, scene: Scene) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            "update p2pgan.leases set expires_at = clock_timestamp() - interval '40 s' where run_id = %s",
            [scene.run.id],
        )
    assert scene.rendezvous.renew_lease(scene.run.id, "A", 1, 6) is not None
    assert scene.rendezvous.renew_lease(scene.run.id, "A", 1, 6) is not None
    (mark,) = scene.rendezvous.events_page(scene.run.id, 50, kind="away")
    assert (mark.peer, mark.name, mark.mark) == ("A", "name of A", True)
    assert "had run out 40 s" in mark.text


def test_nobody_can_write_a_mark(scene: Scene, mallory: Guest) -> None:
    mallory.rendezvous.write_event(scene.run.id, mallory.login, "pen", "holds the pen of term 9")
    page = scene.rendezvous.events_page(scene.run.id, 50, kind="pen")
    assert [(e.peer, e.mark) for e in page] == [(mallory.login, False), ("A", True)]


def test_pages_of_events_are_found_by_words_kind_and_peer(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    for number in range(5):
        db.write_event(run, "A", "note", f"100% of _{number}")
    texts = [e.text for e in db.events_page(run, 2, kind="note")]
    assert texts == ["100% of _4", "100% of _3"]
    oldest = db.events_page(run, 2, kind="note")[-1].id
    assert [e.text for e in db.events_page(run, 1, kind="note", before=oldest)] == ["100% of _2"]
    assert [e.text for e in db.events_page(run, 50, words="% OF _1")] == ["100% of _1"]
    assert [e.text for e in db.events_page(run, 50, words="name of b")] == ["joined"]
    assert {e.peer for e in db.events_page(run, 50, peer="B")} == {"B"}
    assert set(db.event_kinds(run)) == {"note", "joined", "pen"}
    assert db.event_kinds(run)[0] == "note"


def test_cells_tell_what_is_done_and_handed_out(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    assert db.unit_cells(run, 0, 100) == ()
    scene.record(("A", Span(0, 0, 0, UNIT)))
    assert scene.commit(*scene.records).committed
    assert db.claim_units(run, 1, "A", [(0, 1, UNIT, 2 * UNIT)], 60)
    assert [(c.first, c.last, c.done, c.leased) for c in db.unit_cells(run, 0, 100)] == [
        (0, 0, 1, 0),
        (1, 1, 0, 1),
        (2, 2, 0, 0),
        (3, 3, 0, 0),
    ]
    assert [(c.first, c.last, c.done, c.leased) for c in db.unit_cells(run, 0, 2)] == [
        (0, 1, 1, 1),
        (2, 3, 0, 0),
    ]


def test_the_overview_counts_shares_and_facts_those_of_a_peer(scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    two_versions(scene)
    db.write_metrics(run, "A", [metric(1, A=(1, 1, 1, 1), B=None)])
    db.write_sample(run, 1, b"\x89PNG one")
    overview = db.overview(run)
    assert (overview["name"], overview["shares"], overview["newest_sample"]) == (
        scene.run.name,
        {"A": 200, "B": 200},
        1,
    )
    facts = db.peer_facts(run, "B")
    assert (facts["images"], facts["versions"], facts["versions_led"]) == (200, 1, 0)
    assert db.peer_facts(run, "A")["versions_led"] == 2
    assert db.sample(run, 1) == b"\x89PNG one"
    for missing in (lambda: db.overview(-1), lambda: db.peer_facts(run, "C"), lambda: db.sample(run, 7)):
        with pytest.raises(RunError):
            missing()


def test_what_is_read_only_changes_nothing(server: str, scene: Scene) -> None:
    with Rendezvous(server, read_only=True) as reader:
        assert reader.status(scene.run.id)["run"] == scene.run.name
        assert reader.overview(scene.run.id)["state"] == "active"
        with pytest.raises(RendezvousUnavailable, match="read-only"):
            reader.write_event(scene.run.id, "A", "note", "no")


GENERATED = """
alter table p2pgan.metrics disable trigger all; alter table p2pgan.manifests disable trigger all;
alter table p2pgan.peer_metrics disable trigger all;
insert into p2pgan.peers (run_id, id, name, device, control_address, bulk_address, can_lead)
select {run}, 'peer-' || p, 'peer ' || p, 'cpu', '', '', true from generate_series(1, 200) as p;
insert into p2pgan.manifests (run_id, version, digest, parent_digest, term, attempt, images)
select {run}, v, 'd' || v, '', 1, 1, v * 512 from generate_series(1, 100000) as v;
insert into p2pgan.metrics (run_id, version, seconds, images, loss_g, loss_d, d_real, d_fake)
select {run}, v, 5, 512, 1 + v / 1e5, 1, 0.5, 0.5 from generate_series(1, 100000) as v;
insert into p2pgan.peer_metrics
    (run_id, peer, version, images, images_per_s, loss_g, loss_d, d_real, d_fake)
select {run}, 'peer-' || p, v, 2, 10, 1, 1, 0.5, 0.5
from generate_series(1, 2) as p, generate_series(1, 100000) as v;
insert into p2pgan.samples (run_id, version, png)
select {run}, v * 2, 'x' from generate_series(1, 50000) as v;
insert into p2pgan.events (run_id, peer, kind, text, version)
select {run}, 'peer-1', 'pen', 'holds the pen', v * 20 from generate_series(1, 5000) as v;
update p2pgan.runs set version = 100000 where id = {run};
analyze p2pgan.metrics; analyze p2pgan.manifests; analyze p2pgan.peer_metrics;
alter table p2pgan.metrics enable trigger all; alter table p2pgan.manifests enable trigger all;
alter table p2pgan.peer_metrics enable trigger all;
"""


def test_a_long_history_is_thinned_out_by_the_database(fresh: Rendezvous, fresh_dsn: str) -> None:
    scene = open_scene(fresh)
    run = scene.run.id
    with psycopg.connect(fresh_dsn, autocommit=True) as admin:
        admin.execute(GENERATED.format(run=run))  # type: ignore[arg-type]
    began = time.monotonic()
    points = fresh.curves(run, 0, 100_000, 600)
    assert len(points) == 600
    assert (points[0].version, points[-1].version) == (167, 100_000)
    assert points[-1].loss_g == pytest.approx(2.0, abs=0.01)
    assert len(fresh.curves(run, 40_000, 40_099, 600)) == 100
    ours = fresh.peer_curves(run, ["peer-1", "peer-2"], 0, 100_000, 600)
    assert len(ours) == 1200
    assert [p.version for p in ours if p.peer == "peer-2"] == [p.version for p in points]
    marks = fresh.marks(run, 0, 100_000, 200)
    assert len(marks) <= 202 and sum(m.number for m in marks) == 5203
    versions = fresh.sample_versions(run, 500)
    assert 500 <= len(versions) <= 502 and (versions[0], versions[-1]) == (2, 100_000)
    assert len(fresh.status(run)["peers"]) == 202
    assert fresh.overview(run)["newest_sample"] == 100_000
    # Far beyond what it takes, even here; without the indexes and the thinning it is minutes.
    assert time.monotonic() - began < 30
