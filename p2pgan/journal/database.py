"""The journal's SQLite file: opened, moved aside if it is corrupt, shared by threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from p2pgan.errors import ConfigError

BUSY_SECONDS = 5.0

TABLES: Mapping[str, Mapping[str, type]] = {
    "units": {
        "id": int,
        "at": float,
        "run": str,
        "epoch": int,
        "unit": int,
        "images": int,
        "seconds": float,
        "loss_g": float,
        "loss_d": float,
        "d_real": float,
        "d_fake": float,
        "images_per_s": float,
        "skipped": int,
        "sign_real": float,
        "sign_held_out": float,
        "r1": float,
        "grad_g": float,
        "grad_d": float,
        "diversity": float,
    },
    "rounds": {
        "id": int,
        "at": float,
        "run": str,
        "round": int,
        "attempt": int,
        "term": int,
        "members": int,
        "images": int,
        "seconds": float,
        "outcome": str,
        "cosine": float,
        "drift": float,
    },
    "scores": {
        "id": int,
        "at": float,
        "run": str,
        "version": int,
        "fid": float,
        "floor": float,
        "images": int,
        "extractor": str,
        "extractor_digest": str,
    },
    "versions": {"id": int, "at": float, "run": str, "version": int, "digest": str, "record": str},
    "events": {"id": int, "at": float, "run": str, "kind": str, "text": str},
    "outbox": {"id": int, "at": float, "run": str, "records": str, "manifest": str, "snapshot": str},
}


class JournalFile:
    """One connection to the file at ``path``; its users take turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.moved_aside: Path | None = None
        """Where a corrupt file went that was here before."""
        self._turn = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = _open(path)
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self.moved_aside = _move_aside(path)
                self._connection = _open(path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the journal {path} cannot be opened: {error}; choose another folder with --state-dir"
            ) from error
        self._database = Database(self._connection)

    @contextmanager
    def turn(self, *, durable: bool = False) -> Iterator[Database]:
        """The database, for this thread alone; what happens in the block is one transaction.

        It outlives the process in any case. ``durable`` waits until the disk has it, and all before it, so
        that it outlives a power failure as well.

        Raises:
            ConfigError: the file cannot be read or written.
        """
        with self._turn:
            try:
                self._connection.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
                with self._connection:
                    yield self._database
            except sqlite3.Error as error:
                raise ConfigError(
                    f"the journal {self.path} cannot be used: {error}; check the disk, or move the file away"
                ) from error

    def rows(self, table: str, run: str) -> list[dict[str, Any]]:
        """All rows of one run, oldest first."""
        with self.turn() as database:
            return list(database.table(table).rows_where("run = ?", [run], order_by="id"))

    def close(self) -> None:
        """Write back and close."""
        with self._turn:
            self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        with closing(connection.execute("pragma quick_check(1)")) as check:
            (verdict,) = check.fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(_MALFORMED)
        # With a write-ahead log readers, such as a report, do not hold up the peer.
        connection.execute("pragma journal_mode = wal")
        database = Database(connection)
        for table, columns in TABLES.items():
            _bring_up_to_date(database, table, columns)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _bring_up_to_date(database: Database, table: str, columns: Mapping[str, type]) -> None:
    """Makes a table, or adds what one of an older release lacks."""
    found = database.table(table)
    found.create(dict(columns), pk="id", if_not_exists=True)
    for column in columns.keys() - found.columns_dict.keys():
        found.add_column(column, columns[column])


_MALFORMED = "the file is malformed"


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or error.args == (_MALFORMED,)


def _move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
