from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from p2pgan.lab.faults import FaultRecord
from p2pgan.lab.plots import UnitPoint, draw_losses
from p2pgan.lab.report import TABLE_HEAD, LabReport, PeerReport
from p2pgan.lab.view import View
from p2pgan.rendezvous import StatusSnapshot

REPORT = LabReport(
    scenario="kill-leader",
    about="The leader is killed.",
    command="p2pgan lab --peers 2",
    run="lab",
    dataset="digits",
    seconds=60.0,
    versions=12,
    terms=2,
    images=12_000,
    images_per_s=200.0,
    peers=(PeerReport("peer-1", "killed", 5, 4_000, "log"), PeerReport("peer-2", "left", 12, 8_000, "log")),
    faults=(FaultRecord(30.0, "kill leader (peer-1)", 5, 1, 7.5, 8.2),),
    usual_gap_s=1.1,
    handed_out_again=3,
    images_redone=1200,
    failures=(),
    interrupted=False,
    picture="out/generated.png",
    losses=None,
    samples=None,
    machine="a test",
)


def test_the_page_tells_peers_faults_and_picture() -> None:
    page = REPORT.as_markdown()
    assert page.startswith("# Lab kill-leader: everything held\n")
    assert "| peer-1 | killed | 5 | 4,000 |" in page
    assert "| 30 s | kill leader (peer-1) | 5 | 1 | 7.5 s | 8.2 s |" in page
    assert "](generated.png)" in page
    assert "each image of a pass counts exactly once" in page
    assert "Failures" not in page


def test_failures_come_first_and_a_version_that_never_came_is_told() -> None:
    failed = replace(REPORT, failures=("peer-2 ended unasked",), faults=(FaultRecord(30.0, "x", 5, 1),))
    page = failed.as_markdown()
    assert page.index("- peer-2 ended unasked") < page.index("## Peers")
    assert "| never | - |" in page


def test_a_lab_without_a_scenario_has_no_name_and_one_of_a_thing_is_singular() -> None:
    page = replace(REPORT, scenario=None, versions=1, terms=1, failures=("x",)).as_markdown()
    assert page.startswith("# Lab: 1 failure\n")
    assert "1 version in 60 s" in page
    assert "1 term." in page


def test_an_interrupted_lab_says_so_and_has_not_passed() -> None:
    interrupted = replace(REPORT, interrupted=True)
    assert interrupted.as_markdown().startswith("# Lab kill-leader: interrupted; what there was held\n")
    assert json.loads(interrupted.as_json())["passed"] is False
    both = replace(interrupted, failures=("x", "y"))
    assert both.as_markdown().startswith("# Lab kill-leader: 2 failures, interrupted\n")


def test_the_json_says_whether_it_passed() -> None:
    told = json.loads(REPORT.as_json())
    assert told["passed"] is True
    assert told["faults"][0]["recovered_s"] == 7.5
    assert told["recovery"] == {
        "faults": 1,
        "recoveries": 1,
        "p50_s": 7.5,
        "p95_s": 7.5,
        "pause_p50_s": 8.2,
        "pause_p95_s": 8.2,
        "usual_gap_s": 1.1,
        "handed_out_again": 3,
        "images_redone": 1200,
        "violations": 0,
    }
    assert json.loads(replace(REPORT, failures=("x",)).as_json())["passed"] is False


@pytest.mark.parametrize("units", [{}, {"peer-1": [UnitPoint(60.0 * i, 1, 2, 0.6, 0.4) for i in range(3)]}])
def test_the_plot_is_a_png(units: dict[str, list[UnitPoint]], tmp_path: Path) -> None:
    draw_losses(units, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_terminal_there_is_a_line_every_five_seconds(
    make_status: Callable[..., StatusSnapshot],
) -> None:
    text = StringIO()
    with View(Console(file=text, width=200)) as view:
        for second in range(11):
            view.show(second, second / 10, make_status(["peer-1", "peer-2"], "peer-2", version=second))
        view.note(65, "the peers leave")
    lines = text.getvalue().splitlines()
    assert len(lines) == 4
    assert "50%  version 5, term 1, led by peer-2, 2 peers, 5,000 images, 250 images/s" in lines[1]
    assert lines[3] == "  1:05  the peers leave"


def test_on_a_terminal_there_is_a_panel(make_status: Callable[..., StatusSnapshot]) -> None:
    text = StringIO()
    with View(Console(file=text, width=120, force_terminal=True)) as view:
        view.show(1, 0.5, make_status(["peer-1"], "peer-1", version=3))
    assert "peer-1 (leads)" in text.getvalue()


def test_percentiles_are_times_that_were_measured() -> None:
    times = [*map(float, range(20, 0, -1)), None]
    faults = tuple(FaultRecord(0.0, "x", 1, 1, seconds) for seconds in times)
    recovery = replace(REPORT, faults=faults).recovery
    assert (recovery.faults, recovery.recoveries, recovery.p50_s, recovery.p95_s) == (21, 20, 10.0, 19.0)


def test_a_lab_is_a_row_of_a_table() -> None:
    assert (
        REPORT.recovery.row("kill-leader")
        == "| kill-leader | 1 | 1 | 7.5 s | 7.5 s | 8.2 s | 8.2 s | 1,200 | 0 |"
    )
    assert replace(REPORT, faults=()).recovery.row("a|b") == r"| a\|b | 0 | 0 | - | - | - | - | 1,200 | 0 |"
    columns = {line.replace(r"\|", "").count("|") for line in TABLE_HEAD.splitlines()}
    assert columns == {REPORT.recovery.row("x").count("|")}


@pytest.mark.parametrize("columns", [80, 100, 130])
def test_the_panel_fits_a_terminal_and_never_says_more_than_all(
    columns: int, make_status: Callable[..., StatusSnapshot]
) -> None:
    text = StringIO()
    with View(Console(file=text, width=columns, force_terminal=True, color_system=None)) as view:
        view.show(184, 1.02, make_status([f"peer-{number}" for number in range(1, 5)], "peer-2", version=123))
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in text.getvalue().splitlines()]
    first = next(index for index, line in enumerate(lines) if "100%" in line)
    assert "3:04" in lines[first]
    assert lines[first].endswith("━")
    assert lines[first + 1].startswith("version 123, term 1, led by peer-2, 4 peers, ")
    assert lines[first + 2].split() == ["peer", "state", "images/s", "version", "digest"]
    assert all(len(line) < columns for line in lines)
    assert "102%" not in text.getvalue()
