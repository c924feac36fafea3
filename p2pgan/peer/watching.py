"""A program that watches its peer: facts become the calls that a training alone makes."""

from __future__ import annotations

from pathlib import Path

from p2pgan.gan.output import write_whole
from p2pgan.gan.train import Callbacks
from p2pgan.peer.facts import Fact, Noted, Sampled, UnitDone, VersionReached

SAMPLES = "samples.png"


class Watching:
    """Tells a program's callbacks of units, versions, sample grids and what the training had to do."""

    def __init__(self, callbacks: Callbacks, goal: int, folder: Path) -> None:
        """``goal``: images that end the run, 0 if something else does; the newest grid is in ``folder``."""
        self._callbacks, self._goal, self._grid = callbacks, goal, folder / SAMPLES

    def tell(self, fact: Fact) -> None:
        match fact:
            case UnitDone(stats):
                self._callbacks.on_unit(stats)
            case VersionReached(record):
                self._callbacks.on_progress(record.images, self._goal)
            case Noted("training", text):
                self._callbacks.on_notice(text)
            case Sampled(images, png):
                write_whole(self._grid, png)
                self._callbacks.on_samples(images, self._grid)
            case _:
                pass

    def close(self) -> None:
        """The callbacks are not ours."""
