"""Runs the fault suite, one lab after another, and writes a table of how each went on.

Example: python scripts/measure_reliability.py --out reliability
A look in a few minutes: python scripts/measure_reliability.py --out look --times 1
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import yaml

from p2pgan.lab.report import TABLE_HEAD, Recovery

SUITE = Path(__file__).parent / "labs" / "suite"
FAILOVER_S = {"kill-leader": 10.0, "freeze-leader": 10.0}
"""By how the scenario's name begins: the 95th percentile of the time to the next committed version."""
COST_S = {"kill-follower": 3.0}
"""The same of the longest time between two versions, beyond what is usual: a commit that comes soon may be
of a round that was over before the fault."""


def main() -> int:
    """Exit code 1 if an invariant was violated, a lab failed, or a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the labs and the table; new")
    parser.add_argument("--times", type=int, help="repeat each fault so often at most")
    parser.add_argument("names", nargs="*", help="scenarios of the suite; all if none is named")
    told = parser.parse_args()
    suite = {file.stem: file for file in sorted(SUITE.glob("*.yaml"))}
    if unknown := set(told.names) - suite.keys():
        parser.error(f"no scenario {', '.join(sorted(unknown))}; the suite has {', '.join(suite)}")
    if told.out.exists():
        parser.error(f"{told.out} exists; name a new folder with --out")
    files = [suite[name] for name in told.names] or list(suite.values())
    told.out.mkdir(parents=True)
    rows, sound = [TABLE_HEAD], True
    print(TABLE_HEAD, flush=True)
    for file in files:
        report = run(file, told.out, told.times)
        rows.append(row(file.stem, report))
        sound &= report is not None and bool(report["passed"])
        print(rows[-1], flush=True)
        if report is not None and (missed := missed_target(file.stem, report)) is not None:
            sound = False
            print(missed, file=sys.stderr, flush=True)
        machine = report["machine"] if report else "?"
    (told.out / "table.md").write_text("\n".join([*rows, "", f"{date.today()}, {machine}"]) + "\n")
    return 0 if sound else 1


def run(file: Path, out: Path, times: int | None) -> dict[str, object] | None:
    """The report of one lab; None if it did not get so far."""
    scenario = yaml.safe_load(file.read_text(encoding="utf-8"))
    for fault in scenario["faults"]:
        if times is not None:
            fault["repeat"] = min(times, fault.get("repeat", 1))
    chosen, report = out / file.name, out / f"{file.stem}.json"
    chosen.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    with (out / f"{file.stem}.txt").open("w") as log:
        subprocess.run(
            [
                *(sys.executable, "-m", "p2pgan", "lab", "--scenario", str(chosen)),
                *("--out", str(out / file.stem), "--json", str(report)),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return json.loads(report.read_text()) if report.exists() else None


def missed_target(name: str, report: dict[str, object]) -> str | None:
    """What a lab should have done better, if anything."""
    told = report["recovery"]
    assert isinstance(told, dict)
    if told["recoveries"] < told["faults"]:
        return f"{name}: only {told['recoveries']} recoveries from {told['faults']} faults"
    bound = next((bound for begin, bound in FAILOVER_S.items() if name.startswith(begin)), None)
    if bound is not None and told["p95_s"] is not None and told["p95_s"] >= bound:
        return f"{name}: p95 {told['p95_s']:.1f} s, not under {bound:g} s"
    bound, pause, usual = COST_S.get(name), told["pause_p95_s"], told["usual_gap_s"]
    if bound is not None and pause is not None and pause - usual >= bound:
        return f"{name}: p95 of pauses {pause:.1f} s, not under {bound:g} s beyond the usual {usual:.1f} s"
    return None


def row(name: str, report: dict[str, object] | None) -> str:
    """A line of the table."""
    if report is None:
        return f"| {name} | the lab did not end; see its log |" + " |" * 5
    told = report["recovery"]
    assert isinstance(told, dict)
    return Recovery(**told).row(name)


if __name__ == "__main__":
    sys.exit(main())
