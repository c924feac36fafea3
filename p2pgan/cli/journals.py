"""Journals as they are named on the command line."""

from __future__ import annotations

from pathlib import Path

from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import shortened

JOURNAL_FILE = "journal.sqlite"


def journal_file(path: Path) -> Path:
    """The file that ``path`` means. Raises ConfigError if there is none."""
    try:
        file = path / JOURNAL_FILE if path.is_dir() else path
        found = file.is_file()
    except OSError as error:
        raise ConfigError(f"the journal {shortened(str(path))} cannot be read: {error.strerror}") from error
    if not found:
        raise ConfigError(f"there is no journal at {path}: give a peer's state folder or its {JOURNAL_FILE}")
    return file
