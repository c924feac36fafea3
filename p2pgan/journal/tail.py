"""The end of a journal: the last things of all kinds, in the order of their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from p2pgan.journal.reading import sound_journal

Kind = Literal["units", "rounds", "versions", "scores", "events"]
KINDS: tuple[Kind, ...] = ("units", "rounds", "versions", "scores", "events")


@dataclass(frozen=True, slots=True)
class Noted:
    """One row; of a damaged journal its values may be of any type."""

    at: float
    """Seconds since 1970 by the peer's clock."""
    kind: Kind
    run: str
    values: Mapping[str, object]
    """The other columns."""


def read_tail(path: Path, most: int, run: str | None = None) -> tuple[Noted, ...]:
    """The last ``most`` rows of the journal at ``path``, of one run or of all, newest last.

    The journal may be a live peer's; nothing about it changes.

    Raises:
        ConfigError: the file cannot be read, or is no journal of p2pgan.
        JournalDamaged: it is one that is not sound.
    """
    of_run, parameters = (None, []) if run is None else ("run = ?", [run])
    noted: list[Noted] = []
    with sound_journal(path) as database:
        for kind in KINDS:
            if kind not in database.table_names():
                continue
            rows = database.table(kind).rows_where(of_run, parameters, order_by="id desc", limit=most)
            noted += reversed([_noted(kind, row) for row in rows])
    noted.sort(key=lambda row: row.at)  # stable: of the same moment, units come before their round
    return tuple(noted[-most:])


def _noted(kind: Kind, row: dict[str, object]) -> Noted:
    at = row.pop("at")
    values = {name: value for name, value in row.items() if name not in ("id", "run")}
    return Noted(float(at) if isinstance(at, int | float) else 0.0, kind, str(row["run"]), values)
