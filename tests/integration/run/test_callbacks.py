"""A program that takes part in a run and watches its own peer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import p2pgan
from p2pgan.gan.units import UnitStats
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import IMAGES, Swarm


class Watch(p2pgan.Callbacks):
    def __init__(self) -> None:
        self.units: list[UnitStats] = []
        self.progress: list[tuple[int, int]] = []
        self.grids: list[tuple[int, Path]] = []

    def on_unit(self, stats: UnitStats) -> None:
        self.units.append(stats)

    def on_progress(self, images: int, goal: int) -> None:
        self.progress.append((images, goal))

    def on_samples(self, images: int, path: Path) -> None:
        self.grids.append((images, path))


def test_a_joined_program_is_told_how_it_goes(
    postgres: EmbeddedPostgres,
    swarms: Callable[[EmbeddedPostgres], Swarm],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("P2PGAN_STATE", str(tmp_path))
    swarm = swarms(postgres)
    swarm.create({"goal": {"epochs": 1}})
    watch = Watch()
    p2pgan.join(swarm.dsn, run=swarm.run, name="eve", callbacks=[watch])
    assert sum(stats.images for stats in watch.units) >= IMAGES - 128, "a unit may be told of in the next"
    images, goals = zip(*watch.progress, strict=True)
    assert list(images) == sorted(set(images)) and set(goals) == {IMAGES}
    drawn, path = watch.grids[0]
    assert (path, drawn > 0) == (tmp_path / "eve" / "samples.png", True)
    with Image.open(path) as grid:
        assert grid.size[0] >= 8 * 32
