from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2pgan.cli.main import run
from p2pgan.simulation.rendezvous import ModelRendezvous
from p2pgan.simulation.scenario import parse_scenario


def test_a_sound_simulation_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--peers", "3", "--rounds", "5", "--seed", "4"]) == 0
    sums, verdict = capsys.readouterr().out.splitlines()
    assert sums.startswith("seed 4: 3 peers")
    assert verdict == "all invariants held"
    assert run(["simulate", "--peers", "3", "--rounds", "5", "--seed", "4", "--trace"]) == 0
    *trace, _, _ = capsys.readouterr().out.splitlines()
    assert any(" leader" in line for line in trace)


def test_json_has_the_outcome_and_no_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--peers", "2", "--rounds", "5", "--churn", "0", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["violations"] == [] and printed["shortest"] is None and printed["committed"] >= 5


def test_a_round_for_each_step_is_simulated_too(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["simulate", "--peers", "2", "--rounds", "5", "--churn", "0", "--json"]
    assert run([*flags, "--sync", "gradients"]) == 0
    steps = json.loads(capsys.readouterr().out)
    assert run(flags) == 0
    assert steps["committed"] > json.loads(capsys.readouterr().out)["committed"]


def test_a_violation_ends_with_a_scenario_that_replays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ModelRendezvous, "_counted", lambda self, records: {})
    assert run(["simulate", "--peers", "4", "--rounds", "10", "--seed", "2"]) == 1
    out = capsys.readouterr().out
    assert "violation: " in out
    text = out[out.index("seed: 2\n") :]
    assert parse_scenario(text).seed == 2
    (tmp_path / "found.yaml").write_text(text, encoding="utf-8")
    assert run(["simulate", "--scenario", str(tmp_path / "found.yaml")]) == 1


def test_a_scenario_takes_no_other_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--scenario", "x.yaml", "--seed", "1"]) == 2
    assert "leave out the other flags" in capsys.readouterr().err


def test_an_unknown_way_to_average_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--sync", "rumour"]) == 2
    assert "--sync rumour is unknown; choose deltas, gradients or gossip" in capsys.readouterr().err
