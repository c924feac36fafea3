"""``train --dry-run`` and ``lab --dry-run``; those of ``lead`` and ``join`` need a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.cli.main import run
from p2pgan.lab.choose import shipped_scenarios


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--device", "cpu", "--epochs", "2", "--model", "mlp", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "read the images digits",
        "train mlp at 32 px on digits, for 2 epochs on cpu",
        "keep weights, samples and losses up to date in p2pgan-out",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "--scenario", "partition", "--out", "halves", "--no-dashboard", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "start 4 peers on this machine, that meet in a Postgres in halves/postgres",
        "train dcgan at 32 px on digits, for 2.5 min once all of them take part",
        "cut half at 40 s, for 30 s",
        "leave a report, pictures and logs in halves",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scenario", [name for name in shipped_scenarios() if name != "faces"])
def test_every_scenario_that_comes_with_the_program(
    scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", "--scenario", scenario, "--out", "here", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["show the run live in a browser", "leave a report, pictures and logs in here"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["train", "--dataset", "folder:/does/not/exist"], "/does/not/exist"),
        (["train", "--device", "abacus"], "abacus"),
        (["train", "--out", "used"], "an earlier training"),
        (["lab", "--out", "used"], "is not empty"),
        (["lab", "--dataset", "zip:none.zip"], "none.zip"),
        (["lab", "--scenario", "restart-everything", "--rendezvous", "postgresql://db/x"], "stops Postgres"),
    ],
)
def test_what_would_stop_it(
    arguments: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "losses.csv").touch()
    assert run([*arguments, "--dry-run"]) == 2
    assert why in capsys.readouterr().err
