"""A journal as others see it: opened for reading only, so that not even its folder changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from p2pgan.errors import ConfigError
from p2pgan.journal.database import BUSY_SECONDS, TABLES


class JournalDamaged(ConfigError):
    """A journal whose content is not sound."""


def read_rows(path: Path, table: str, run: str) -> list[dict[str, Any]]:
    """All rows of one run in the journal at ``path``, oldest first.

    Raises:
        ConfigError: the file cannot be read, or is no journal of p2pgan.
        JournalDamaged: it is one that is not sound.
    """
    with sound_journal(path) as database:
        if table not in database.table_names():  # the peer was killed when it had just made the file
            return []
        return list(database.table(table).rows_where("run = ?", [run], order_by="id"))


@contextmanager
def sound_journal(path: Path) -> Iterator[Database]:
    """The journal at ``path``, looked over, for reading. Raises as ``read_rows`` does, in the block too."""
    try:
        with closing(_open(path)) as connection:
            database = Database(connection)
            if not set(database.table_names()) <= TABLES.keys():
                raise ConfigError(f"{path} is not a journal of p2pgan but another SQLite database")
            _check(path, connection)
            yield database
    except sqlite3.Error as error:
        raise _explained(path, error) from error


def _open(path: Path) -> sqlite3.Connection:
    # A log beside it means that its peer lives or was killed: both are read together. Without one,
    # SQLite would make the log's files, and leave them, unless it is told that nobody writes.
    has_log = path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.resolve().as_uri()}?{'mode=ro' if has_log else 'immutable=1'}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)


def _check(path: Path, connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("pragma quick_check(1)").fetchone()
    if verdict != "ok":
        raise JournalDamaged(f"the journal {path} is damaged: {' '.join(verdict.split())}")


def _explained(path: Path, error: sqlite3.Error) -> ConfigError:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_NOTADB:
        return ConfigError(f"{path} is not a journal of p2pgan")
    if code is not None and code & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_FORMAT,
    ):
        return JournalDamaged(f"the journal {path} is damaged: {error}")
    return ConfigError(f"the journal {path} cannot be read: {error}")
