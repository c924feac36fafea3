"""What a training in one process says while it goes on, by the same facts as a peer."""

from __future__ import annotations

from pathlib import Path

from p2pgan.gan.train import Callbacks
from p2pgan.gan.units import UnitStats
from p2pgan.peer.facts import Bar, Standing
from p2pgan.peer.log import Log


class Progress(Callbacks):
    """Tells units, sample grids, and on a terminal how far the training is."""

    def __init__(self, log: Log, title: str = "") -> None:
        self._log, self._title = log, title
        self._seen = 0
        self._goal: int | None = None

    def on_step(self, unit: int, done: int, of: int) -> None:
        if self._log.draws:
            bars = [Bar(f"unit {unit}", done, of, "images")]
            if self._goal is not None:
                bars.insert(0, Bar("training", self._seen + done, self._goal, "images"))
            self._log.standing(Standing(self._title, tuple(bars)))

    def on_progress(self, images: int, goal: int) -> None:
        self._seen, self._goal = images, goal

    def on_unit(self, stats: UnitStats) -> None:
        self._log.unit(stats)

    def on_notice(self, text: str) -> None:
        self._log.note("training", text)

    def on_samples(self, images: int, path: Path) -> None:
        self._log.note("samples", f"{images:,} images, samples in {path}")
