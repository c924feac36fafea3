from __future__ import annotations

import errno
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from p2pgan.cli.interrupt import asked_to_end
from p2pgan.errors import P2pganError, UserError
from p2pgan.lab.choose import choose_scenario
from p2pgan.lab.lab import LabOptions
from p2pgan.lab.run import run_lab
from p2pgan.lab.view import View


def _options(out: Path, dataset: str = "digits", rendezvous: str | None = None) -> LabOptions:
    return LabOptions(
        scenario=choose_scenario("restart-everything"),
        out=out,
        rendezvous=rendezvous,
        run="lab",
        dataset=dataset,
        requested={},
        command="p2pgan lab",
    )


def _used(tmp_path: Path) -> LabOptions:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "report.md").touch()
    return _options(tmp_path / "used")


def _file(tmp_path: Path) -> LabOptions:
    (tmp_path / "file").touch()
    return _options(tmp_path / "file")


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (_used, "used is not empty"),
        (_file, "file is a file, not a folder"),
        (lambda tmp: _options(tmp / "new", dataset="folder:nope"), "no folder at nope"),
        (lambda tmp: _options(tmp / "new", rendezvous="postgresql://db/gan"), "stops Postgres"),
    ],
)
def test_what_cannot_go_well_is_refused_before_anything_is_made(make, line: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    options = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=line):
        run_lab(options, View(Console(file=StringIO())), asked_to_end)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_disk_without_room_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**7, 10**7))
    with pytest.raises(
        P2pganError, match="a lab needs 100 MB on the disk of .*new: free space, or"
    ) as refused:
        run_lab(_options(tmp_path / "new"), View(Console(file=StringIO())), asked_to_end)
    assert refused.value.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("p2pgan.lab.run.EmbeddedPostgres", full)
    with pytest.raises(P2pganError, match="the disk of .*new is full: free space, or choose another --out"):
        run_lab(_options(tmp_path / "new"), View(Console(file=StringIO())), asked_to_end)
