"""What the peers wrote down about their training, read after they have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from p2pgan.journal import read_rows
from p2pgan.lab.plots import UnitPoint
from p2pgan.protocol.ids import VersionRecord


def read_units(journal: Path, run: str, since: float) -> tuple[UnitPoint, ...]:
    """Trained units, oldest first; their times count from ``since``, in seconds since 1970.

    Raises:
        ConfigError: the journal cannot be read.
    """
    if not journal.exists():
        return ()
    return tuple(
        UnitPoint(
            seconds=row["at"] - since,
            loss_g=row["loss_g"],
            loss_d=row["loss_d"],
            d_real=row["d_real"],
            d_fake=row["d_fake"],
        )
        for row in read_rows(journal, "units", run)
    )


def images_redone(history: Iterable[VersionRecord], trained: Iterable[tuple[tuple[int, int], int]]) -> int:
    """Images that were trained more than once because what a peer had learned of them got lost.

    ``trained`` has, for each piece of work that a peer finished, its epoch and unit and how many images
    it was; ``history`` says how many of each unit count. What was under way when a peer died, and not
    finished, left no trace and is not among them.
    """
    counts, work = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for record in history:
        for contribution in record.contributions:
            for span in contribution.spans:
                counts[span.epoch, span.unit] += span.images
    for unit, images in trained:
        work[unit] += images
    return sum(max(0, work[unit] - counts[unit]) for unit in counts)


def read_trained(journal: Path, run: str) -> list[tuple[tuple[int, int], int]]:
    """Epoch and unit, and how many images, of all work that a peer finished.

    Raises:
        ConfigError: the journal cannot be read.
    """
    if not journal.exists():
        return []
    return [((row["epoch"], row["unit"]), row["images"]) for row in read_rows(journal, "units", run)]
