"""What the peers wrote down about their training, read after they have ended."""

from __future__ import annotations

from pathlib import Path

from p2pgan.journal import Journal
from p2pgan.lab.plots import UnitPoint


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
