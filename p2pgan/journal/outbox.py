"""Commits that wait for the database, kept so that a crash of the peer does not lose them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import msgspec

from p2pgan.errors import ConfigError
from p2pgan.journal.database import JournalFile
from p2pgan.journal.rows import WaitingCommit
from p2pgan.protocol.ids import SnapshotManifest, VersionRecord


class Outbox:
    """A queue of commits; their snapshots are files in ``folder``."""

    def __init__(self, file: JournalFile, folder: Path) -> None:
        self._file = file
        self._folder = folder
        self._tidied = False

    def put(
        self,
        at: float,
        run: str,
        records: Sequence[VersionRecord],
        manifest: SnapshotManifest,
        pieces: Iterable[bytes | memoryview],
    ) -> int:
        """Keep a commit whose snapshot is ``pieces``, one after the other; returns its id.

        Raises:
            ConfigError: it cannot be written.
        """
        snapshot = self._folder / f"{manifest.version}-{secrets.token_hex(8)}.snapshot"
        try:
            self._tidy()
            _write_durably(snapshot, pieces)
        except OSError as error:
            raise ConfigError(
                f"the outbox {snapshot} cannot be written: {error.strerror}; check the disk"
            ) from error
        row = {
            "at": at,
            "run": run,
            "records": msgspec.json.encode(list(records)).decode(),
            "manifest": msgspec.json.encode(manifest).decode(),
            "snapshot": snapshot.name,
        }
        with self._file.turn(durable=True) as database:
            return cast(int, database.table("outbox").insert(row).last_pk)

    def peek(self, run: str) -> WaitingCommit | None:
        """The oldest commit of the run that waits."""
        waiting = self._file.rows("outbox", run)
        if not waiting:
            return None
        row = waiting[0]
        return WaitingCommit(
            id=row["id"],
            records=msgspec.json.decode(row["records"], type=tuple[VersionRecord, ...]),
            manifest=msgspec.json.decode(row["manifest"], type=SnapshotManifest),
            snapshot=self._folder / row["snapshot"],
        )

    def remove(self, commit_id: int) -> None:
        """Forget a commit, because it is in the database or never can be."""
        with self._file.turn(durable=True) as database:
            outbox = database.table("outbox")
            names = [row["snapshot"] for row in outbox.rows_where("id = ?", [commit_id], select="snapshot")]
            outbox.delete_where("id = ?", [commit_id])
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Delete what a crash in the middle of a put left, once: before the first put of this process.

        Not on opening, because others open the journal of a live peer to read it.
        """
        if self._tidied:
            return
        with self._file.turn() as database:
            named = {row["snapshot"] for row in database.table("outbox").rows}
        for path in self._folder.glob("*"):
            if path.name not in named:
                path.unlink()
        self._tidied = True


def _write_durably(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
