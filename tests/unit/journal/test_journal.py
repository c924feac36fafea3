from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.journal import EventEntry, Journal, RoundEntry, RoundLine, UnitEntry, UnitLine, VersionEntry
from p2pgan.protocol.ids import Contribution, SnapshotManifest, Span, VersionRecord

UNIT = UnitLine(0, 42, 512, 3.1, 1.31, 0.62, 0.7, 0.3, 165.2)
ROUND = RoundLine(7, 1, 3, 4, 2048, 5.25, "committed")
RECORD = VersionRecord(
    version=7,
    digest="d7",
    parent_digest="d6",
    term=3,
    attempt=1,
    leader="A",
    images=2048,
    contributions=(Contribution("A", (Span(0, 42, 0, 512),)),),
)
MANIFEST = SnapshotManifest(version=7, digest="d7", schema_hash="s", images=2048, length=6, chunks=("c",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    ticks = count(100)
    with Journal(path, clock=lambda: float(next(ticks))) as opened:
        yield opened


def test_what_was_written_is_read_back_with_its_time(journal: Journal) -> None:
    journal.add_unit("faces", UNIT)
    journal.add_round("faces", ROUND)
    journal.add_version("faces", RECORD)
    journal.add_event("faces", "elected", "took the pen in term 3")
    assert journal.units("faces") == (UnitEntry(100.0, UNIT),)
    assert journal.rounds("faces") == (RoundEntry(101.0, ROUND),)
    assert journal.versions("faces") == (VersionEntry(102.0, RECORD),)
    assert journal.events("faces") == (EventEntry(103.0, "elected", "took the pen in term 3"),)
    assert journal.notice is None


def test_runs_are_kept_apart(journal: Journal) -> None:
    journal.add_unit("faces", UNIT)
    assert journal.units("digits") == ()
    journal.put_commit("faces", [RECORD], MANIFEST, [b"abc"])
    assert journal.peek_commit("digits") is None


def test_a_version_that_came_again_stands_twice(journal: Journal) -> None:
    journal.add_version("faces", RECORD)
    journal.add_version("faces", RECORD)
    assert len(journal.versions("faces")) == 2


def test_it_goes_on_after_it_was_closed(path: Path) -> None:
    for expected in (1, 2):
        with Journal(path) as journal:
            journal.add_unit("faces", UNIT)
            assert len(journal.units("faces")) == expected


def test_threads_share_it(journal: Journal) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: journal.add_unit("faces", UNIT), range(80)))
    assert len(journal.units("faces")) == 80


def test_another_process_may_read_while_it_is_written(journal: Journal, path: Path) -> None:
    journal.add_unit("faces", UNIT)
    journal.put_commit("faces", [RECORD], MANIFEST, [b"abc"])
    with Journal(path) as reader:
        journal.add_unit("faces", UNIT)
        assert len(reader.units("faces")) == 2
        assert reader.peek_commit("faces") == journal.peek_commit("faces")


def test_commits_wait_in_order_until_they_are_removed(journal: Journal) -> None:
    first = journal.put_commit("faces", [RECORD], MANIFEST, [b"abc", memoryview(b"def")])
    second = journal.put_commit("faces", [RECORD], MANIFEST, [b"ghi"])
    waiting = journal.peek_commit("faces")
    assert waiting is not None
    assert (waiting.id, waiting.records, waiting.manifest) == (first, (RECORD,), MANIFEST)
    assert waiting.snapshot.read_bytes() == b"abcdef"
    journal.remove_commit(first)
    assert not waiting.snapshot.exists()
    waiting = journal.peek_commit("faces")
    assert waiting is not None
    assert (waiting.id, waiting.snapshot.read_bytes()) == (second, b"ghi")
    journal.remove_commit(second)
    assert journal.peek_commit("faces") is None


DIE_IN_PUT = """
import os, sys
from pathlib import Path
from tests.unit.journal.test_journal import MANIFEST, RECORD
from p2pgan.journal import Journal

def pieces():
    yield b"half of it"
    os._exit(9)

journal = Journal(Path(sys.argv[1]))
journal.put_commit("faces", [RECORD], MANIFEST, [b"abc"])
journal.put_commit("faces", [RECORD], MANIFEST, pieces())
"""


def test_only_what_must_outlive_a_power_failure_waits_for_the_disk(journal: Journal) -> None:
    """A line for each round, and each may be a step: waiting would cost milliseconds of every one."""
    said: list[str] = []
    journal._file._connection.set_trace_callback(said.append)

    journal.add_version("faces", RECORD)
    lines = said.copy()
    journal.put_commit("faces", [RECORD], MANIFEST, [b"theta"])
    commit = said[len(lines) :]
    journal.add_round("faces", ROUND)

    def level(statements: list[str]) -> str:
        """As it was set last before something was inserted."""
        inserted = next(i for i, text in enumerate(statements) if "INSERT" in text.upper())
        return [text for text in statements[:inserted] if "synchronous" in text][-1]

    assert level(lines) == "pragma synchronous = normal"
    assert level(commit) == "pragma synchronous = full"
    assert level(said[len(lines) + len(commit) :]) == "pragma synchronous = normal"


def test_a_commit_outlives_a_process_that_dies_in_the_next_one(path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", DIE_IN_PUT, str(path)], cwd=Path(__file__).parents[3])
    assert process.returncode == 9
    with Journal(path) as journal:
        waiting = journal.peek_commit("faces")
        assert waiting is not None
        assert waiting.snapshot.read_bytes() == b"abc"
        outbox = waiting.snapshot.parent
        assert len(list(outbox.iterdir())) == 2, "the half is still there: others may be only reading"
        journal.remove_commit(waiting.id)
        journal.remove_commit(journal.put_commit("faces", [RECORD], MANIFEST, [b"abc"]))
        assert list(outbox.iterdir()) == []


@pytest.mark.parametrize("damage", ["not SQLite", "broken pages"])
def test_a_corrupt_file_is_moved_aside(path: Path, damage: str) -> None:
    with Journal(path) as journal:
        for _ in range(200):
            journal.add_unit("faces", UNIT)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        b"garbage" * 1000 if damage == "not SQLite" else data[:middle] + b"\xff" * (len(data) - middle)
    )
    with Journal(path) as journal:
        aside = path.with_name("journal.sqlite.corrupt-1")
        assert journal.notice == f"the journal was corrupt: it is now {aside} and a new one was begun"
        assert aside.exists()
        assert journal.units("faces") == ()
        journal.add_unit("faces", UNIT)
    with Journal(path) as journal:
        assert journal.notice is None


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--state-dir"):
        Journal(tmp_path / "file" / "journal.sqlite")
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(ConfigError, match="cannot be opened"):
        Journal(tmp_path / "folder.sqlite")


def test_a_file_that_stops_working_is_a_clear_error(journal: Journal, path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("alter table units rename column run to walk")
    other.close()
    with pytest.raises(ConfigError, match="cannot be used"):
        journal.units("faces")


def test_a_journal_of_an_older_release_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    signals = ("skipped", "sign_real", "sign_held_out", "r1", "grad_g", "grad_d", "diversity")
    with Journal(path) as journal:
        journal.add_unit("run", UNIT)
    with closing(sqlite3.connect(path)) as file:
        for column in signals:
            file.execute(f"alter table units drop column {column}")
        file.commit()
    later = replace(UNIT, skipped=1, sign_real=0.5, diversity=0.7)
    with Journal(path) as journal:
        assert journal.notice is None
        journal.add_unit("run", later)
        assert [entry.line for entry in journal.units("run")] == [UNIT, later]
