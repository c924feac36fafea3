"""A journal that cannot be written stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.journal import Journal
from p2pgan.peer.log import Log
from p2pgan.peer.memory import Memory
from p2pgan.protocol.ids import SnapshotManifest, VersionRecord

RUN = "faces"


def read_only(journal: Journal, wanted: bool) -> None:
    with journal._file.turn() as database:
        database.execute(f"pragma query_only = {int(wanted)}")


def record(version: int) -> VersionRecord:
    return VersionRecord(version, "d" * 32, "c" * 32, 1, 1, "ada", 64, ())


def manifest(version: int) -> SnapshotManifest:
    return SnapshotManifest(version, "d" * 32, "schema", 64, 4, ("e" * 32,))


def test_what_cannot_be_noted_is_said_once_and_its_end_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        memory = Memory(journal, RUN, Log("lines"))
        memory.add_event("peer", "before")
        read_only(journal, True)
        memory.add_event("peer", "lost")
        memory.add_version(record(1))
        read_only(journal, False)
        memory.add_event("peer", "after")

        assert [entry.text for entry in journal.events(RUN)] == ["before", "after"]
        assert journal.versions(RUN) == ()
    first, second = capsys.readouterr().out.splitlines()
    assert "readonly" in first and first.endswith("training goes on without it")
    assert second.endswith("the journal can be written again")


def test_the_newest_commit_waits_alone_until_nothing_does(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        memory = Memory(journal, RUN, Log("lines"))
        memory.keep_commit([record(1)], manifest(1), b"one")
        memory.keep_commit([record(1), record(2)], manifest(2), b"two")

        waiting = journal.peek_commit(RUN)
        assert waiting is not None
        assert (waiting.manifest.version, waiting.snapshot.read_bytes()) == (2, b"two")
        memory.forget_commits()
        assert journal.peek_commit(RUN) is None
