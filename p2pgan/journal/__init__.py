"""A peer's own SQLite file: units, rounds, versions, events, and commits that wait."""

from p2pgan.journal.journal import Journal
from p2pgan.journal.lineage import read_applied, read_entries, read_versions
from p2pgan.journal.reading import JournalDamaged, read_rows
from p2pgan.journal.rows import (
    EventEntry,
    RoundEntry,
    RoundLine,
    ScoreEntry,
    ScoreLine,
    UnitEntry,
    UnitLine,
    VersionEntry,
    WaitingCommit,
)
from p2pgan.journal.tail import Noted, read_tail

__all__ = [
    "EventEntry",
    "Journal",
    "JournalDamaged",
    "Noted",
    "RoundEntry",
    "RoundLine",
    "ScoreEntry",
    "ScoreLine",
    "UnitEntry",
    "UnitLine",
    "VersionEntry",
    "WaitingCommit",
    "read_applied",
    "read_entries",
    "read_rows",
    "read_tail",
    "read_versions",
]
