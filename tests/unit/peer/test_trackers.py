"""Trackers of experiments: with the real libraries where they are installed, and never on the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from p2pgan.cli.main import run
from p2pgan.errors import ConfigError
from p2pgan.peer.facts import Fact
from p2pgan.peer.log import Log
from p2pgan.peer.trackers import Tracker, check_trackers, open_trackers
from tests.unit.peer.test_lines import RECORD, UNIT


class Kept:
    def __init__(self) -> None:
        self.written: list[tuple[int, dict[str, float]]] = []
        self.closed = False

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self.written.append((step, dict(values)))

    def close(self) -> None:
        self.closed = True


def tell(log: Log) -> None:
    log.note("peer", "no number")
    log.unit(UNIT)
    log.unit(UNIT)
    log.version(RECORD, 2, 1024, 1.5)


def test_units_and_versions_become_numbers_over_images() -> None:
    kept = Kept()
    with Log("lines") as log:
        log.track([Tracker(kept)])
        tell(log)
    assert [step for step, _ in kept.written] == [512, 1024, 1024]
    assert kept.written[0][1]["unit/loss_g"] == 1.31
    assert "unit/diversity" not in kept.written[0][1]  # it was not looked at
    assert kept.written[2][1] == {
        "round/version": 3,
        "round/members": 2,
        "round/images": 1024,
        "round/seconds": 1.5,
    }
    assert kept.closed


def test_one_that_fails_is_left_out_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing:
        def tell(self, fact: Fact) -> None:
            raise OSError("the disk is full")

        def close(self) -> None:
            raise AssertionError("it is not used any more")

    kept = Kept()
    with Log("lines") as log:
        log.track([Failing(), Tracker(kept)])
        tell(log)
    said = capsys.readouterr().out
    assert said.count("left out from now on: the disk is full") == 1
    assert len(kept.written) == 3


@pytest.mark.parametrize("spec", ["tensorboard", "tensorboard:", "mlflow:x", ""])
def test_what_names_no_tracker_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="names no tracker"):
        check_trackers([spec])


def test_a_missing_package_is_said_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("p2pgan.peer.trackers.find_spec", lambda name: None)
    assert run(["train", "--track", "wandb:faces", "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'p2pgan[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def tracked(spec: str) -> None:
    check_trackers([spec])
    with Log("lines") as log:
        log.track(open_trackers([spec], "ada"))
        tell(log)


@pytest.mark.filterwarnings("ignore")  # others' libraries
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    tracked(f"tensorboard:{tmp_path}")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("unit/loss_g")] == [
        (512, pytest.approx(1.31)),
        (1024, pytest.approx(1.31)),
    ]
    assert [e.value for e in events.Scalars("round/version")] == [3]


@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_it_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracked("wandb:faces")
    wandb.teardown()  # its own process has written everything when it has ended
    (written,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"unit/loss_g" in written.read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_it_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="trackio is not installed")
    tracked("trackio:faces")
    assert any(path.suffix == ".db" for path in tmp_path.rglob("*"))
