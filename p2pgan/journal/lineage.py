"""What a peer's journal says of the weights it had, read from the outside."""

from __future__ import annotations

from pathlib import Path

from p2pgan.journal.journal import Journal
from p2pgan.protocol.history import last_lineage
from p2pgan.protocol.ids import VersionRecord


def read_applied(journal: Path, run: str) -> tuple[VersionRecord, ...]:
    """Every version that the peer ever applied, in its order; none where there is no journal."""
    if not journal.exists():
        return ()
    with Journal(journal) as opened:
        return tuple(entry.record for entry in opened.versions(run))


def read_versions(journal: Path, run: str) -> tuple[VersionRecord, ...]:
    """The versions that led, one after the other, to the weights the peer ended with."""
    return last_lineage(read_applied(journal, run))
