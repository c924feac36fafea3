from __future__ import annotations

import pytest

from p2pgan.errors import RunError
from p2pgan.rendezvous import Rendezvous
from tests.contract.rendezvous.scenes import Scene, open_scene, registration


def test_a_new_run_begins_with_its_stored_seed_weights(scene: Scene) -> None:
    manifest = scene.rendezvous.read_manifest(scene.run.id)
    assert (manifest.version, manifest.digest) == (0, scene.run.digest)
    data = list(scene.rendezvous.read_chunks(scene.run.id, manifest.chunks))
    assert sum(map(len, data)) == manifest.length
    assert scene.run.config == {"gan": {"seed": 1}}
    assert scene.run.dataset == {"count": 1000, "resolution": 32, "digest": "d" * 64}


def test_without_runs_the_way_to_make_one_is_named(fresh: Rendezvous) -> None:
    with pytest.raises(RunError, match="p2pgan lead"):
        fresh.find_run(None)


def test_the_only_active_run_needs_no_name(fresh: Rendezvous) -> None:
    finished, active = open_scene(fresh), open_scene(fresh)
    assert fresh.finish_run(finished.run.id, "A", 1)
    assert fresh.find_run(None).id == active.run.id


def test_several_active_runs_are_listed(fresh: Rendezvous) -> None:
    names = sorted(open_scene(fresh).run.name for _ in range(2))
    with pytest.raises(RunError, match=", ".join(names)):
        fresh.find_run(None)
    assert fresh.find_run(names[1]).name == names[1]


def test_an_unknown_name_says_what_there_is(fresh: Rendezvous) -> None:
    name = open_scene(fresh).run.name
    with pytest.raises(RunError, match=f"no run named nope: there is {name}"):
        fresh.find_run("nope")


def test_a_finished_run_is_found_but_takes_nobody_in(fresh: Rendezvous) -> None:
    scene = open_scene(fresh)
    assert not fresh.finish_run(scene.run.id, "B", 1), "B does not hold the pen"
    assert fresh.finish_run(scene.run.id, "A", 1)
    assert fresh.find_run(None).state == "finished"
    with pytest.raises(RunError, match="finished"):
        fresh.register_peer(scene.run.id, registration("C"))
    assert fresh.release_lease(scene.run.id, "A", 1)
    assert fresh.acquire_lease(scene.run.id, "A", 60) is None


def test_a_taken_name_is_refused_and_leaves_nothing(scene: Scene) -> None:
    rendezvous, run = scene.rendezvous, scene.run
    manifest = rendezvous.read_manifest(run.id)
    runs = rendezvous.list_runs()
    with pytest.raises(RunError, match="exists already"):
        rendezvous.create_run(run.name, {}, run.dataset, run.schema_hash, 100, manifest, [])
    assert rendezvous.list_runs() == runs
