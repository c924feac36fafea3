"""What the peers wrote down about themselves, read after they have ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from p2pgan.journal import Journal
from p2pgan.lab.plots import UnitPoint
from p2pgan.protocol.ids import VersionRecord


def read_units(journal: Path, run: str, since: float) -> tuple[UnitPoint, ...]:
    """Trained units, oldest first; their times count from ``since``, in seconds since 1970."""
    if not journal.exists():
        return ()
    with Journal(journal) as opened:
        return tuple(
            UnitPoint(
                seconds=entry.at - since,
                loss_g=entry.line.loss_g,
                loss_d=entry.line.loss_d,
                d_real=entry.line.d_real,
                d_fake=entry.line.d_fake,
            )
            for entry in opened.units(run)
        )


def read_versions(journal: Path, run: str) -> tuple[VersionRecord, ...]:
    """The versions that led, one after the other, to the weights the peer ended with."""
    if not journal.exists():
        return ()
    with Journal(journal) as opened:
        return last_lineage([entry.record for entry in opened.versions(run)])


def last_lineage(applied: Sequence[VersionRecord]) -> tuple[VersionRecord, ...]:
    """The last stretch of ``applied`` in which each version is the child of the one before.

    Before it the peer may have had weights that a crash of everyone undid: rounds that no commit
    had reached. It then began again from an older version, or fetched a newer one.
    """
    start = len(applied) - 1
    while start > 0 and applied[start].parent_digest == applied[start - 1].digest:
        start -= 1
    return tuple(applied[max(start, 0) :])
