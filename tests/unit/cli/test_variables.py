"""Variables of the environment in place of flags, and ``--show-config``, which tells who said what."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.cli.main import run
from p2pgan.lab.fleet import Fleet
from p2pgan.peer.options import JoinOptions

DSN = "postgresql://me:very-secret@db.example.org/gan"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("P2PGAN_RENDEZVOUS", raising=False)


def config(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, tuple[str, str]]:
    """Value and origin of everything that ``--show-config`` prints."""
    assert run(["lead", "--rendezvous", DSN, "--show-config", *arguments]) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines() if line]
    filled = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {key: (value, origin) for key, value, origin in filled}


def test_each_value_has_its_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("unit_images: 64\ngan: {seed: 1, microbatch: 16}")
    monkeypatch.setenv("P2PGAN_SEED", "2")
    monkeypatch.setenv("P2PGAN_EPOCHS", "5")
    monkeypatch.setenv("P2PGAN_THREADS", "1")
    flags = ("--preset", "classic", "--config", str(file), "--set", "gan.model.width=24", "--epochs", "7")
    told = config(capsys, *flags)
    assert told["gan.loss.r1_gamma"] == ("0.0", "preset classic")
    assert told["gan.microbatch"] == ("16", f"file {file}")
    assert told["gan.seed"] == ("2", "P2PGAN_SEED")
    assert told["gan.model.width"] == ("24", "--set")
    assert told["goal.epochs"] == ("7", "--epochs")
    assert told["sample_every"] == ("10", "default")
    assert told["--threads"] == ("1", "P2PGAN_THREADS")
    assert told["--rendezvous"] == ("db.example.org:5432/gan", "--rendezvous")
    assert told["--device"] == ("'auto'", "default")


def test_a_training_alone_shows_its_values_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PGAN_SEED", "2")
    assert run(["train", "--loss", "hinge", "--out", "kept", "--show-config"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["gan.seed", "2", "P2PGAN_SEED"] in rows
    assert ["gan.loss.name", "'hinge'", "--loss"] in rows
    assert ["--out", "'kept'", "--out"] in rows
    assert list(tmp_path.iterdir()) == []


def test_a_lab_tells_what_its_scenario_said(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--scenario", "partition", "--peers", "5", "--set", "commit_seconds=2", "--json", "r.json")
    assert run(["lab", *flags, "--show-config"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["sync.round_seconds", "2.0", "scenario", "partition"] in rows
    assert ["commit_seconds", "2.0", "--set"] in rows
    assert ["--peers", "5", "--peers"] in rows
    assert ["--minutes", "2.5", "scenario", "partition"] in rows
    assert ["--json", "'r.json'", "--json"] in rows
    assert ["--dashboard", "True", "default"] in rows
    assert run(["lab", "--versions", "7", "--show-config"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["--peers", "3", "default"] in rows
    assert ["--versions", "7", "--versions"] in rows


def test_a_class_goes_by_the_name_of_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert config(capsys, "--class")["--class"] == ("True", "--class")


def test_what_was_typed_goes_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P2PGAN_SEED", "2")
    monkeypatch.setenv("P2PGAN_SET", "gan.model.width=40 unit_images=128")
    assert config(capsys, "--set", "gan.seed=3")["gan.seed"] == ("3", "--set")
    told = config(capsys)
    assert told["gan.model.width"] == ("40", "P2PGAN_SET")
    assert told["unit_images"] == ("128", "P2PGAN_SET")


def test_what_is_left_to_images_and_device_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    told = config(capsys, "--conditional", "--batch-size", "auto")
    assert told["gan.model.num_classes"] == ("as many as the images have", "--conditional")
    assert told["gan.microbatch"] == ("the largest that fits", "--batch-size")


def test_a_configuration_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lead", "--rendezvous", DSN, "--show-config", "--seed", "-1"]) == 2
    assert "gan.seed = -1 is not valid" in capsys.readouterr().err


def test_variables_reach_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[JoinOptions] = []
    monkeypatch.setattr("p2pgan.peer.start.join", taken.append)
    variables = {"RENDEZVOUS": "embedded:x", "DEVICE": "cpu", "PORT": "4000", "DOWNLOAD": "1", "NAME": "ada"}
    for name, value in variables.items():
        monkeypatch.setenv(f"P2PGAN_{name}", value)
    assert run(["join", "--name", "bob"]) == 0
    (options,) = taken
    assert (options.rendezvous, options.device, options.port) == ("embedded:x", "cpu", 4000)
    assert options.download and options.name == "bob"


def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P2PGAN_PORT", "many")
    assert run(["join", "--rendezvous", "embedded:x"]) == 2
    assert "--port" in capsys.readouterr().err


def test_the_help_names_the_variables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lead", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"P2PGAN_{name}" in text for name in ("RENDEZVOUS", "DATA_ROOT", "SET", "NO_TRAIN", "THREADS"))
    assert "P2PGAN_DEBUG" not in text and "P2PGAN_DRY_RUN" not in text


def test_an_own_net_has_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """``P2PGAN_MODEL`` names the nets of a new run, which are nothing that a joiner could load."""
    taken: list[JoinOptions] = []
    monkeypatch.setattr("p2pgan.peer.start.join", taken.append)
    monkeypatch.setenv("P2PGAN_MODEL", "dcgan")
    assert run(["join", "--rendezvous", "embedded:x"]) == 0
    assert taken[0].own_net is None


def test_a_lab_gives_its_peers_no_flags_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PGAN_PORT", "4000")
    monkeypatch.setenv("P2PGAN_CACHE", "/cache")
    variables = Fleet(tmp_path, DSN, "lab", []).environment
    assert {name: value for name, value in variables.items() if name.startswith("P2PGAN_")} == {
        "P2PGAN_RENDEZVOUS": DSN,
        "P2PGAN_CACHE": "/cache",
    } | ({"P2PGAN_PG_BIN": variables["P2PGAN_PG_BIN"]} if "P2PGAN_PG_BIN" in variables else {})
