"""The lab, as a user calls it: real processes, a real Postgres, a fault, a report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SCENARIO = """
name: short
about: The leader is killed and comes back.
peers: 2
minutes: 12
until_recovered: true  # a number of versions may be there before the second peer is, on a busy machine
faults:
  - {do: kill, target: peer-1, at_version: 3}
  - {do: join, target: peer-1, at_version: 6}
"""
SMALL = [
    "gan.model.width=8",
    "sync.round_seconds=1",
    "commit_seconds=0.5",
    "unit_images=256",
    "sample_every=2",
]


@pytest.mark.timeout(900)  # bounds a lab that hangs; a slow machine is no failure
def test_a_lab_survives_its_leader_and_leaves_a_picture_and_a_sound_report(tmp_path: Path) -> None:
    scenario, out, report = tmp_path / "short.yaml", tmp_path / "out", tmp_path / "report.json"
    scenario.write_text(SCENARIO)
    settings = [part for setting in SMALL for part in ("--set", setting)]
    command = ["lab", "--scenario", str(scenario), "--out", str(out), "--json", str(report), *settings]
    lab = subprocess.run(
        [sys.executable, "-m", "p2pgan", *command], capture_output=True, text=True, check=False, timeout=880
    )
    assert lab.returncode == 0, lab.stdout + lab.stderr
    assert "dashboard: http://127.0.0.1:" in lab.stdout
    told = json.loads(report.read_text())
    assert told["failures"] == []
    assert told["versions"] > 6
    assert told["terms"] >= 2
    assert [fault["what"] for fault in told["faults"]] == ["kill peer-1", "join peer-1"]
    assert all(fault["recovered_s"] is not None for fault in told["faults"])
    assert {peer["name"]: peer["end"] for peer in told["peers"]} == {"peer-1": "left", "peer-2": "left"}
    assert sum(peer["images"] for peer in told["peers"]) == told["images"] > 0
    assert (out / "generated.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "losses.png").exists()
    assert list((out / "samples").glob("version-*.png"))
    assert (out / "report.md").read_text().startswith("# Lab short: everything held")


def test_a_lab_without_images_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    lab = subprocess.run(
        [
            sys.executable,
            "-m",
            "p2pgan",
            "lab",
            "--dataset",
            "folder:/does/not/exist",
            "--out",
            tmp_path / "out",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert lab.returncode == 2
    assert "/does/not/exist" in lab.stderr
    assert lab.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_lab_that_is_interrupted_while_it_starts_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    lab = subprocess.Popen(
        [sys.executable, "-m", "p2pgan", "lab", "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert lab.stdout is not None
    assert "dashboard: http://127.0.0.1:" in lab.stdout.readline()
    assert "the first peer starts" in lab.stdout.readline()
    lab.send_signal(signal.SIGINT)
    said, errors = lab.communicate(timeout=120)
    assert (lab.returncode, errors) == (130, "p2pgan: interrupted\n")
    assert "interrupted before the run began: the peers are killed" in said
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(tmp_path) in " ".join(command)]


@pytest.mark.timeout(900)
def test_an_interrupted_lab_leaves_in_order_and_reports_what_there_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = [part for setting in SMALL for part in ("--set", setting)]
    command = ["lab", "--scenario", "restart-everything", "--minutes", "60", "--peers", "2", *settings]
    lab = subprocess.Popen(
        [sys.executable, "-m", "p2pgan", *command, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert lab.stdout is not None
    for line in lab.stdout:  # one every five seconds
        if re.search(r"version [1-9]", line):
            break
    lab.send_signal(signal.SIGINT)
    said, errors = lab.communicate(timeout=600)
    assert lab.returncode == 130, said + errors
    assert "interrupted: the peers leave in order" in said
    told = json.loads((out / "report.json").read_text())
    assert (told["interrupted"], told["passed"], told["failures"]) == (True, False, [])
    assert told["versions"] >= 1
    assert (out / "report.md").read_text().startswith("# Lab restart-everything: interrupted")
    assert (out / "generated.png").exists()
