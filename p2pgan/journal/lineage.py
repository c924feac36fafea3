"""What a peer's journal says of the weights it had, read from the outside."""

from __future__ import annotations

from pathlib import Path

import msgspec

from p2pgan.journal.reading import JournalDamaged, read_rows
from p2pgan.journal.rows import VersionEntry
from p2pgan.protocol.history import last_lineage
from p2pgan.protocol.ids import VersionRecord


def read_applied(journal: Path, run: str) -> tuple[VersionRecord, ...]:
    """Every version that the peer ever applied, in its order. Raises as ``read_entries`` does."""
    return tuple(entry.record for entry in read_entries(journal, run))


def read_entries(journal: Path, run: str) -> tuple[VersionEntry, ...]:
    """Every version that the peer ever applied, and when; none where there is no journal.

    The journal may be a live peer's; nothing about it changes.

    Raises:
        ConfigError: the file cannot be read, or is no journal.
        JournalDamaged: it is a journal whose content is not sound.
    """
    if not journal.exists():
        return ()
    rows = read_rows(journal, "versions", run)
    try:
        return tuple(
            VersionEntry(row["at"], msgspec.json.decode(row["record"], type=VersionRecord)) for row in rows
        )
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise JournalDamaged(f"the journal {journal} is damaged: a version's record is none") from error


def read_versions(journal: Path, run: str) -> tuple[VersionRecord, ...]:
    """The versions that led, one after the other, to the weights the peer ended with. Raises as above."""
    return last_lineage(read_applied(journal, run))
