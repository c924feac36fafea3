"""Journals read from the outside, which must not change them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from p2pgan.errors import ConfigError
from p2pgan.journal import Journal, JournalDamaged, read_applied
from tests.unit.journal.test_journal import RECORD, UNIT


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a journal?#.sqlite"
    with Journal(path) as journal:
        journal.add_version("faces", RECORD)
    return path


def test_reading_changes_nothing(path: Path) -> None:
    before = contents(path.parent)
    assert read_applied(path, "faces") == (RECORD,)
    assert read_applied(path, "digits") == ()
    assert contents(path.parent) == before


def test_the_journal_of_a_live_peer_is_read_with_its_log(path: Path) -> None:
    later = msgspec.structs.replace(RECORD, version=8)
    with Journal(path) as journal:
        journal.add_version("faces", later)
        assert read_applied(path, "faces") == (RECORD, later)
        journal.add_version("faces", later)
        assert read_applied(path, "faces") == (RECORD, later, later)


def test_a_journal_that_cannot_be_written_is_read(path: Path) -> None:
    path.chmod(0o400)
    path.parent.chmod(0o500)
    assert read_applied(path, "faces") == (RECORD,)
    path.parent.chmod(0o700)


def test_what_is_no_journal_is_refused_and_stays(tmp_path: Path) -> None:
    photo, other = tmp_path / "photo.png", tmp_path / "other.sqlite"
    Image.new("RGB", (64, 64)).save(photo)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("create table notes (text)")
    before = contents(tmp_path)
    for path in (photo, other):
        with pytest.raises(ConfigError, match="is not a journal of p2pgan") as refused:
            read_applied(path, "faces")
        assert not isinstance(refused.value, JournalDamaged)
    assert contents(tmp_path) == before


def test_a_file_that_its_peer_had_only_just_made_holds_no_versions(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").touch()
    assert read_applied(tmp_path / "journal.sqlite", "faces") == ()


def test_broken_pages_are_damage_and_stay(path: Path) -> None:
    with Journal(path) as journal:
        for _ in range(200):
            journal.add_unit("faces", UNIT)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + b"\xff" * (len(data) - middle))
    before = contents(path.parent)
    with pytest.raises(JournalDamaged, match="is damaged: "):
        read_applied(path, "faces")
    assert contents(path.parent) == before


@pytest.mark.parametrize(
    "change",
    [
        "update versions set record = '{}'",
        "update versions set record = 'x'",
        "update versions set record = null",
        "update versions set record = x'ff00'",
        "alter table versions rename column run to walk",
        "alter table versions rename column record to disc",
    ],
)
def test_rows_that_no_peer_wrote_are_damage(path: Path, change: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(JournalDamaged, match="is damaged: "):
        read_applied(path, "faces")
