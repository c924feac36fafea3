"""``p2pgan log`` on journals of all kinds."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from p2pgan.cli.main import run
from p2pgan.journal import Journal, RoundLine, UnitLine
from p2pgan.protocol.ids import VersionRecord

UNIT = UnitLine(2, 42, 512, 15.34, 1.312, 0.621, 0.7, 0.3, 33.4)


def written(folder: Path) -> Path:
    """A state folder with a journal that has each kind of row, a second apart."""
    clock = itertools.count(1_700_000_000)
    with Journal(folder / "journal.sqlite", lambda: float(next(clock))) as journal:
        journal.add_event("faces", "pen", "term 1 \x1b[2J[/]\u202e")
        journal.add_unit("faces", UNIT)
        journal.add_round("faces", RoundLine(7, 1, 1, 3, 1536, 5.04, "committed"))
        journal.add_version("faces", VersionRecord(7, "0123456789", "9", 1, 1, "A", 9000, ()))
        journal.add_unit("other", replace(UNIT, unit=43, loss_g=float("nan")))
    return folder


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(["log", *arguments]) == 0
    return [line.partition(" ")[2].partition(" ")[2] for line in capsys.readouterr().out.splitlines()]


def test_each_kind_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, str(written(tmp_path))) == [
        "event     pen: term 1 \ufffd[2J[/]\ufffd",
        "unit      unit 42 of epoch 2: 512 images in 15.3 s, G 1.31 D 0.62",
        "round     round 7 committed: 3 members, 1536 images, 5.0 s",
        "version   version 7, digest 01234567",
        "unit      unit 43 of epoch 2: 512 images in 15.3 s, G - D 0.62",
    ]


def test_the_newest_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    shown = lines(capsys, str(tmp_path / "journal.sqlite"), "--run", "faces", "--limit", "2")
    assert [line.split()[0] for line in shown] == ["round", "version"]


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", str(written(tmp_path)), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in rows] == ["events", "units", "rounds", "versions", "units"]
    assert rows[1]["values"]["images"] == 512 and rows[1]["run"] == "faces"


def test_the_journal_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P2PGAN_STATE", str(tmp_path))
    (tmp_path / "ada").mkdir()
    written(tmp_path / "ada")
    assert len(lines(capsys, "--name", "ada")) == 5
    assert run(["log", "--name", "bob"]) == 2
    assert "there is no journal at" in capsys.readouterr().err


def test_a_journal_with_anything_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as file:
        file.execute("update units set loss_g = 'x', seconds = x'00', images = 'many', at = 'noon'")
        file.execute("update events set at = 1e300")
    file.close()
    assert "images in - s" in lines(capsys, str(tmp_path))[0]


def test_the_page_of_commands_knows_the_tables_and_asks_them(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", page.partition("## p2pgan log\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    (query,) = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    # As datasette opens it: read only, with the file's own tables and keys.
    written(tmp_path)
    with closing(sqlite3.connect(f"file:{tmp_path}/journal.sqlite?mode=ro", uri=True)) as file:
        tables = {name for (name,) in file.execute("select name from sqlite_master where type = 'table'")}
        assert tables == set(re.findall(r"^\| `([a-z]+)` \|", section, re.MULTILINE))
        for table in tables:
            columns = file.execute("select name, pk from pragma_table_info(?)", [table]).fetchall()
            assert columns[:3] == [("id", 1), ("at", 0), ("run", 0)]
        assert file.execute(query).fetchall()[-1][:4] == ("2023-11-14 22:13:21", 2, 42, 1.312)


def test_another_file_is_refused_and_nothing_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "journal.sqlite"
    file.write_text("no journal")
    assert run(["log", str(tmp_path)]) == 2
    assert "is not a journal of p2pgan" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite"]
    written(tmp_path / "sound")
    before = {path.name for path in (tmp_path / "sound").iterdir()}
    assert run(["log", str(tmp_path / "sound"), "--limit", "0"]) == 2
    assert run(["log", str(tmp_path / "sound")]) == 0
    assert {path.name for path in (tmp_path / "sound").iterdir()} == before
