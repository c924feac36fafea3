"""What a training in one process says while it goes on, in the same lines as a peer's log."""

from __future__ import annotations

from pathlib import Path

from p2pgan.gan.train import Callbacks
from p2pgan.gan.units import UnitStats
from p2pgan.peer.log import Log


class Progress(Callbacks):
    """Prints units and sample grids on standard output."""

    def __init__(self) -> None:
        self._log = Log("lines")

    def on_unit(self, stats: UnitStats) -> None:
        self._log.unit(stats)

    def on_notice(self, text: str) -> None:
        self._log.note("training", text)

    def on_samples(self, images: int, path: Path) -> None:
        self._log.note("samples", f"{images:,} images, samples in {path}")
