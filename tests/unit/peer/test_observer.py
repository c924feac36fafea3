"""How things stand, as seen from a peer's parts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from p2pgan.peer.facts import Bar, Swarm
from p2pgan.peer.lending import Lending
from p2pgan.peer.observer import Observer
from p2pgan.peer.training import Progress
from p2pgan.protocol.catchup import Fetch
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.ids import CHUNK_BYTES, SnapshotManifest, Span
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import Welcome

CONFIG = ProtocolConfig(images=100, unit_images=10, microbatch=1, vector_size=10, schema_hash="s")


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


class Scene:
    def __init__(self) -> None:
        self.machine = Machine(CONFIG, "a" * 40, "gan")
        self.training: Any = SimpleNamespace(progress=None)
        self.database: Any = SimpleNamespace(staging=None)
        self.clock = Clock()
        self.lending = Lending(self.clock)
        self.observer = Observer(
            "ada", self.machine, self.training, self.database, self.lending, (), self.clock
        )

    @property
    def swarm(self) -> Swarm:
        swarm = self.observer.standing().swarm
        assert swarm is not None
        return swarm


def test_a_peer_that_has_just_come() -> None:
    scene = Scene()
    assert scene.observer.standing().title == "gan · ada"
    assert scene.observer.standing().bars == ()
    assert scene.swarm == Swarm("waiting for weights", 1, None, False, 0, 0, 0, None)
    scene.machine.core.digest = "d"
    assert scene.swarm.doing == "waiting for a leader"


def test_work_under_way_and_weights_that_go() -> None:
    scene = Scene()
    core, member = scene.machine.core, scene.machine.member
    core.digest, core.version, core.leader, core.term = "d", 4, core.me, 2
    member.held = (Span(0, 3, 0, 512), Span(0, 4, 512, 612))
    scene.training.progress = Progress(3, 128, 512, 128, 612)
    scene.database.staging = Bar("↑ commit 4", 1, 9, "bytes")
    scene.lending.gave("b" * 40, 4, 100, 0, 40)
    standing = scene.observer.standing()
    assert standing.bars == (
        Bar("round 5", 128, 612, "images"),
        Bar("unit 3", 128, 512, "images"),
        Bar("↑ commit 4", 1, 9, "bytes"),
        Bar("↑ to bbbbbbbb", 40, 100, "bytes"),
    )
    assert (scene.swarm.doing, scene.swarm.leader, scene.swarm.leads) == ("training", "this peer", True)
    member.held = ()
    assert scene.observer.standing().bars[0].unit == "bytes", "what was dropped is not under way"


def test_weights_that_come() -> None:
    scene = Scene()
    manifest = SnapshotManifest(7, "d" * 64, "s", 900, 2 * CHUNK_BYTES + 10, ("x", "y", "z"))
    welcome = Welcome(run="gan", term=1, manifest=manifest, ledger=(), donors=())
    scene.machine.catchup.fetch = fetch = Fetch(welcome, {}, [0, 2])
    assert scene.observer.standing().bars == (Bar("↓ version 7", CHUNK_BYTES, 2 * CHUNK_BYTES + 10, "bytes"),)
    assert scene.swarm.doing == "fetching weights"
    fetch.missing.clear()
    (bar,) = scene.observer.standing().bars
    assert bar.done == bar.total, "the last chunk is a short one"


def test_the_age_of_a_commit_counts_from_when_it_was_seen() -> None:
    scene = Scene()
    assert scene.swarm.since_commit_s is None
    scene.machine.core.committed_version = 3
    assert scene.swarm.since_commit_s == 0.0
    scene.clock.now += 4.0
    assert (scene.swarm.committed, scene.swarm.since_commit_s) == (3, 4.0)
