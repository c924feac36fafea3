from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.lab.fault import Action
from p2pgan.lab.scenario import parse_scenario, read_scenario

SCENARIOS = Path(__file__).parents[3] / "scripts" / "labs"


@pytest.mark.parametrize(
    "name",
    [
        "quick",
        "kill-leader",
        "frozen-leader",
        "late-joiner",
        "restart-everything",
        "faces",
        "partition",
        "poison",
    ],
)
def test_the_scenarios_that_come_with_p2pgan_are_valid(name: str) -> None:
    scenario = read_scenario(SCENARIOS / f"{name}.yaml")
    assert scenario.name == name
    assert scenario.about
    assert scenario.minutes is not None
    assert all(fault.at_s is None or fault.at_s < 60 * scenario.minutes for fault in scenario.faults)


def test_a_fault_is_due_at_its_time_or_at_its_version() -> None:
    faults = [{"do": "kill", "target": "leader", "at_s": 5}, {"do": "restart-all", "at_version": 3}]
    at_time, at_version = parse_scenario({"faults": faults}).faults
    assert [at_time.is_due(s, 99) for s in (4.9, 5.0)] == [False, True]
    assert [at_version.is_due(99, v) for v in (2, 3)] == [False, True]
    assert at_version.do is Action.RESTART_ALL


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"faults": [{"do": "kill", "target": "leader"}]}, "either at_s or at_version"),
        ({"faults": [{"do": "kill", "target": "leader", "at_s": 1, "at_version": 1}]}, "either"),
        ({"faults": [{"do": "kill", "at_s": 1}]}, "kill needs a target"),
        ({"faults": [{"do": "stop-postgres", "target": "leader", "at_s": 1}]}, "takes no target"),
        ({"faults": [{"do": "join", "target": "leader", "at_s": 1}]}, "join needs a peer's name"),
        ({"faults": [{"do": "kill", "target": "peer-9", "at_s": 1}]}, "never joins"),
        ({"faults": [{"do": "explode", "at_s": 1}]}, "faults.0.do"),
        ({"faults": [{"do": "leave", "target": "leader", "at_s": 1, "point": "commit"}]}, "no point"),
        ({"faults": [{"do": "leave", "target": "leader", "at_s": 1, "for_s": 1}]}, "cannot be undone"),
        ({"faults": [{"do": "kill", "target": "leader", "at_s": 1, "repeat": 2}]}, "for_s must say"),
        ({"clocks": {"peer-7": 5}}, "peer-7"),
        ({"peers": 0}, "peers"),
        ({"minute": 3}, "minute"),
        ([1], "is not valid"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused_in_one_line(values: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        parse_scenario(values)
    assert "\n" not in str(refused.value)


def test_a_late_joiner_may_be_the_target_of_a_later_fault() -> None:
    faults = [
        {"do": "join", "target": "peer-9", "at_s": 1},
        {"do": "leave", "target": "peer-9", "at_s": 2},
    ]
    assert len(parse_scenario({"faults": faults}).faults) == 2


def test_an_unreadable_scenario_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_scenario(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("faults: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_scenario(broken)
