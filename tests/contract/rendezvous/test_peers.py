from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from p2pgan.errors import ConfigError, InternalError, RunError
from p2pgan.rendezvous import PeerStat, PeerState
from tests.contract.rendezvous.scenes import Scene, registration


def test_registering_is_listed_and_counts_the_generation(scene: Scene) -> None:
    generation = scene.rendezvous.register_peer(scene.run.id, registration("C", name="laptop"))
    peers = scene.rendezvous.list_peers(scene.run.id)
    assert peers.generation == generation
    assert [(p.id, p.name, p.state) for p in peers.peers][-1] == ("C", "laptop", "joining")


def test_those_present_come_first(scene: Scene) -> None:
    scene.rendezvous.set_peer_state(scene.run.id, "A", "left")
    peers = scene.rendezvous.list_peers(scene.run.id).peers
    assert [(p.id, p.present) for p in peers] == [("B", True), ("A", False)]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (registration("A"), False),
        (registration("A", name="other"), False),
        (registration("A", port=77), True),
    ],
    ids=["nothing", "name", "address"],
)
def test_the_generation_counts_changes_that_others_must_know(scene: Scene, change, counts) -> None:
    before = scene.rendezvous.list_peers(scene.run.id).generation
    assert (scene.rendezvous.register_peer(scene.run.id, change) > before) is counts


def test_a_sign_of_life_does_not_count_the_generation_but_a_new_state_does(scene: Scene) -> None:
    def roll_up(state: PeerState) -> int:
        assert scene.rendezvous.roll_up(scene.run.id, "A", 1, [PeerStat("B", state, 9.0, 3, "v3")])
        return scene.rendezvous.list_peers(scene.run.id).generation

    joining, active, still_active, lost = map(roll_up, ("joining", "active", "active", "lost"))
    assert joining < active == still_active < lost


def test_a_renewal_tells_the_generation(scene: Scene) -> None:
    generation = scene.rendezvous.register_peer(scene.run.id, registration("C"))
    renewal = scene.rendezvous.renew_lease(scene.run.id, "A", 1, 3600)
    assert renewal is not None
    assert renewal.peers_generation == generation


def test_a_roll_up_is_fenced(scene: Scene) -> None:
    term = scene.take_pen("B")
    stats = [PeerStat("A", "lost", 1.0, 1, "v1")]
    assert not scene.rendezvous.roll_up(scene.run.id, "A", 1, stats)
    states = {p.id: p.state for p in scene.rendezvous.list_peers(scene.run.id).peers}
    assert states["A"] == "joining"
    assert scene.rendezvous.roll_up(scene.run.id, "B", term, stats)
    states = {p.id: p.state for p in scene.rendezvous.list_peers(scene.run.id).peers}
    assert states["A"] == "lost"


def test_who_left_comes_back_only_by_itself(scene: Scene) -> None:
    scene.rendezvous.set_peer_state(scene.run.id, "B", "left")
    assert scene.rendezvous.roll_up(scene.run.id, "A", 1, [PeerStat("B", "active", 9.0, 3, "v3")])
    assert scene.rendezvous.list_peers(scene.run.id).peers[-1].state == "left"
    scene.rendezvous.register_peer(scene.run.id, registration("B"))
    assert scene.rendezvous.list_peers(scene.run.id).peers[-1].state == "joining"


def test_unknown_peers_and_runs_are_refused(scene: Scene) -> None:
    with pytest.raises(InternalError, match="not registered"):
        scene.rendezvous.set_peer_state(scene.run.id, "nobody", "active")
    with pytest.raises(RunError):
        scene.rendezvous.register_peer(-1, registration("A"))
    with pytest.raises(RunError):
        scene.rendezvous.list_peers(-1)


def test_an_identity_is_one_places_at_a_time(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id
    here, copy = (replace(registration("C"), instance=place) for place in ("here", "a copy"))
    rendezvous.register_peer(run, here)
    rendezvous.register_peer(run, here)
    with pytest.raises(ConfigError, match="another process takes part as C.*--state-dir.*15 s"):
        rendezvous.register_peer(run, copy)
    assert next(p for p in rendezvous.list_peers(run).peers if p.id == "C").state == "joining"

    rendezvous.set_peer_state(run, "C", "left")
    rendezvous.register_peer(run, copy)
    with pytest.raises(ConfigError):
        rendezvous.register_peer(run, here)


def test_a_place_that_is_silent_gives_way(scene: Scene, server: str) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id
    rendezvous.register_peer(run, replace(registration("C"), instance="here"))
    with psycopg.connect(server) as admin:
        admin.execute("update p2pgan.peers set last_seen = last_seen - interval '16 s' where id = 'C'")
    rendezvous.register_peer(run, replace(registration("C"), instance="a copy"))


def test_work_in_hand_is_of_the_moment_and_fenced(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id

    def work() -> tuple[int, bool]:
        return next((p["spans"], p["reached"]) for p in rendezvous.status(run)["peers"] if p["id"] == "B")

    for spans, reached in ((3, True), (0, False), (2, True)):
        stat = PeerStat("B", "active", 1.0, 0, "", spans=spans, reached=reached)
        assert rendezvous.roll_up(run, "A", 1, [stat])
        assert work() == (spans, reached)
    stat = PeerStat("B", "active", 1.0, 0, "", spans=9, reached=False)
    assert not rendezvous.roll_up(run, "A", 2, [stat])
    assert work() == (2, True)
    assert rendezvous.roll_up(run, "A", 1, [PeerStat("B", "lost", 1.0, 0, "", spans=2, reached=True)])
    assert work() == (0, False), "who is gone has nothing in hand"


def test_offences_only_grow_and_are_fenced(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run.id

    def offences() -> int:
        return next(p["offences"] for p in rendezvous.status(run)["peers"] if p["id"] == "B")

    for told, kept in ((0, 0), (7, 7), (3, 7), (9, 9)):
        assert rendezvous.roll_up(run, "A", 1, [PeerStat("B", "active", 1.0, 0, "", offences=told)])
        assert offences() == kept
    assert not rendezvous.roll_up(run, "A", 2, [PeerStat("B", "active", 1.0, 0, "", offences=99)])
    assert offences() == 9
