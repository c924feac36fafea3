"""The exercises of the lab book: their scenarios are there, and what they tell of them is so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from p2pgan.lab.choose import choose_scenario, shipped_scenarios
from p2pgan.lab.fault import Action
from p2pgan.lab.report import CHECKED
from p2pgan.lab.scenario import Scenario, parse_scenario, read_scenario
from tests.documented import ROOT, commands

PAGE = ROOT / "docs" / "labbook.md"
TEXT = PAGE.read_text(encoding="utf-8")
LABS = [c.words[2:] for c in commands(PAGE) if c.words[:2] == ["p2pgan", "lab"]]


def scenario_of(name: str) -> Scenario:
    return read_scenario(ROOT / "scripts" / "labs" / f"{name}.yaml")


def test_scenarios_of_exercises_lie_where_people_look_for_them() -> None:
    named = {words[words.index("--scenario") + 1] for words in LABS if "--scenario" in words}
    assert named == {"kill-leader", "frozen-leader", "partition", "poison", "quick", "restart-everything"}
    assert named <= shipped_scenarios().keys()
    assert all(choose_scenario(name).about for name in named)


def test_labs_of_one_exercise_do_not_share_a_folder() -> None:
    folders = [words[words.index("--out") + 1] for words in LABS]
    assert len(folders) == len(LABS) == len(set(folders))


def test_the_leader_and_its_successor_are_killed_half_a_minute_apart() -> None:
    first, second = (f for f in scenario_of("kill-leader").faults if f.do is Action.KILL)
    assert first.target == second.target == "leader"
    assert first.at_s is not None and second.at_s is not None and 25 <= second.at_s - first.at_s <= 40


def test_a_frozen_leader_loses_its_lease() -> None:
    from p2pgan.peer.config import LeadershipConfig

    faults = scenario_of("frozen-leader").faults
    assert all(f.do is Action.STOP and (f.for_s or 0) > 2 * LeadershipConfig().ttl_s for f in faults)


def test_half_of_four_is_cut_off_after_forty_seconds_for_half_a_minute() -> None:
    scenario = scenario_of("partition")
    (fault,) = scenario.faults
    assert (scenario.peers, fault.do, fault.target, fault.links) == (4, Action.CUT, "half", "peers")
    assert (fault.at_s, fault.for_s) == (40, 30)


def test_the_change_to_the_partition_that_the_page_asks_for_can_be_made() -> None:
    assert "give the fault `target: leader` and\n`links: database`" in TEXT
    scenario = scenario_of("partition").model_dump(exclude_unset=True)
    scenario["faults"] = [{**scenario["faults"][0], "target": "leader", "links": "database"}]
    assert str(parse_scenario(scenario).faults[0]) == "cut leader from the database"


def test_the_one_who_poisons_is_the_one_in_the_text() -> None:
    assert "From second 40 to 80 `peer-3` sends the opposite" in TEXT
    (fault,) = scenario_of("poison").faults
    assert (fault.do, fault.target, fault.at_s, fault.for_s) == (Action.POISON, "peer-3", 40, 40)


def test_everything_dies_and_then_the_database_for_twenty_seconds() -> None:
    restart, stop, start = scenario_of("restart-everything").faults
    assert [f.do for f in (restart, stop, start)] == [
        Action.RESTART_ALL,
        Action.STOP_POSTGRES,
        Action.START_POSTGRES,
    ]
    assert stop.at_s is not None and start.at_s is not None and start.at_s - stop.at_s == 20


@pytest.mark.parametrize("kind", ["round", "commit", "catch-up", "training", "network", "mixing"])
def test_the_lines_that_the_page_sends_readers_to_are_lines_of_a_log(kind: str) -> None:
    assert f"`{kind}`" in TEXT
    said = {
        node.args[0].value
        for path in (ROOT / "p2pgan").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
    }
    assert kind in said


def test_files_of_a_lab_have_the_names_of_the_page() -> None:
    from p2pgan.lab.process import PeerProcess

    peer = PeerProcess(name="peer-1", folder=Path("calm/peer-1"), command=[], environment={})
    assert f"`{peer.log}`" in TEXT
    assert "`report.md` in the lab's folder says what was checked" in TEXT and CHECKED.startswith("Checked:")
