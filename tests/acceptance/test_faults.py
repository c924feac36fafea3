"""One fault of each kind on real processes, one after the other, and the audit: the fault suite in small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KINDS = {
    "kill leader at commit",
    "stop leader",
    "cut leader",
    "corrupt follower",
    "terminate-backends",
    "stop-postgres",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the lab's network needs Linux")
@pytest.mark.timeout(1200)  # bounds a lab that hangs; a slow machine is no failure
def test_a_run_recovers_from_each_kind_of_fault_without_a_violation(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    lab = subprocess.run(
        [
            *(sys.executable, "-m", "p2pgan", "lab", "--scenario", "selection", "--no-dashboard"),
            *("--out", str(tmp_path / "out"), "--json", str(report)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=1180,
    )
    assert lab.returncode == 0, lab.stdout + lab.stderr
    told = json.loads(report.read_text())
    assert told["failures"] == []
    assert {fault["what"].partition(" (")[0] for fault in told["faults"]} == KINDS
    recovery = told["recovery"]
    assert (recovery["recoveries"], recovery["violations"]) == (len(KINDS), 0)
    rows = [line for line in lab.stdout.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| scenario", "| selection"]
    assert rows[1].startswith(f"| selection | {len(KINDS)} | {len(KINDS)} | ") and rows[1].endswith(" | 0 |")
    assert {peer["end"] for peer in told["peers"]} == {"left"}
