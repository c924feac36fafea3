"""A peer's own memory: what it trained, saw and still has to tell, in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from p2pgan.journal.database import JournalFile
from p2pgan.journal.outbox import Outbox
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
from p2pgan.protocol.ids import SnapshotManifest, VersionRecord


class Journal:
    """The journal at ``path``; safe to share between threads, and to read from other processes.

    Everything is kept by the name of the run, so that one peer can take part in several over time.
    A corrupt file is moved aside and a new one begun; ``notice`` then says so in one line.

    Raises:
        ConfigError: (every call) the file cannot be opened, read or written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = JournalFile(path)
        self._clock = clock
        self._outbox = Outbox(self._file, path.with_name(f"{path.name}.outbox"))

    @property
    def notice(self) -> str | None:
        """What happened on opening that the user should know."""
        if self._file.moved_aside is None:
            return None
        return f"the journal was corrupt: it is now {self._file.moved_aside} and a new one was begun"

    def add_unit(self, run: str, line: UnitLine) -> None:
        """Note a trained unit."""
        self._add("units", run, asdict(line))

    def add_round(self, run: str, line: RoundLine) -> None:
        """Note the end of a round."""
        self._add("rounds", run, asdict(line))

    def add_score(self, run: str, line: ScoreLine) -> None:
        """Note how good the drawn images of a version are."""
        self._add("scores", run, asdict(line))

    def add_version(self, run: str, record: VersionRecord) -> None:
        """Note a version that this peer's weights have become."""
        text = msgspec.json.encode(record).decode()
        self._add("versions", run, {"version": record.version, "digest": record.digest, "record": text})

    def add_event(self, run: str, kind: str, text: str) -> None:
        """Note that something happened."""
        self._add("events", run, {"kind": kind, "text": text})

    def units(self, run: str) -> tuple[UnitEntry, ...]:
        """Trained units, oldest first."""
        return tuple(UnitEntry(at, UnitLine(**row)) for at, row in self._entries("units", run))

    def rounds(self, run: str) -> tuple[RoundEntry, ...]:
        """Rounds, oldest first."""
        return tuple(RoundEntry(at, RoundLine(**row)) for at, row in self._entries("rounds", run))

    def scores(self, run: str) -> tuple[ScoreEntry, ...]:
        """Scores in the order in which this peer took them."""
        return tuple(ScoreEntry(at, ScoreLine(**row)) for at, row in self._entries("scores", run))

    def versions(self, run: str) -> tuple[VersionEntry, ...]:
        """Versions in the order in which this peer applied them."""
        return tuple(
            VersionEntry(at, msgspec.json.decode(row["record"], type=VersionRecord))
            for at, row in self._entries("versions", run)
        )

    def events(self, run: str) -> tuple[EventEntry, ...]:
        """Events, oldest first."""
        return tuple(EventEntry(at, **row) for at, row in self._entries("events", run))

    def put_commit(
        self,
        run: str,
        records: Sequence[VersionRecord],
        manifest: SnapshotManifest,
        pieces: Iterable[bytes | memoryview],
    ) -> int:
        """Keep a commit until it is in the database; ``pieces`` make up its snapshot. Returns its id."""
        return self._outbox.put(self._clock(), run, records, manifest, pieces)

    def peek_commit(self, run: str) -> WaitingCommit | None:
        """The oldest commit that waits."""
        return self._outbox.peek(run)

    def remove_commit(self, commit_id: int) -> None:
        """Forget a commit, because it is in the database or never can be."""
        self._outbox.remove(commit_id)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, table: str, run: str, row: dict[str, Any]) -> None:
        with self._file.turn() as database:
            database.table(table).insert({"at": self._clock(), "run": run, **row})

    def _entries(self, table: str, run: str) -> list[tuple[float, dict[str, Any]]]:
        """Time and remaining columns of each row."""
        rows = self._file.rows(table, run)
        return [(row.pop("at"), {k: v for k, v in row.items() if k not in ("id", "run")}) for row in rows]
