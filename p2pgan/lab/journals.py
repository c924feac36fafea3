"""What the peers wrote down about their training, read after they have ended."""

from __future__ import annotations

from pathlib import Path

from p2pgan.journal import read_rows
from p2pgan.lab.plots import UnitPoint


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
