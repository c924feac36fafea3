from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.lab.choose import choose_scenario, shipped_scenarios

ROOT = Path(__file__).parents[3]
SHIPPED = [
    "faces", "frozen-leader", "kill-leader", "late-joiner", "partition", "poison", "quick",
    "restart-everything", "selection",
]  # fmt: skip


def test_a_shipped_scenario_goes_by_its_name() -> None:
    assert list(shipped_scenarios()) == SHIPPED
    assert [choose_scenario(name).name for name in SHIPPED] == SHIPPED
    suite = shipped_scenarios(suite=True)
    assert {"kill-leader-commit", "wrong-clocks"} < suite.keys()
    assert [choose_scenario(name).name for name in suite] == list(suite)


def test_an_installed_package_carries_the_scenarios_where_they_are_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"scripts/labs": "p2pgan/lab/scenarios"}


def test_without_a_scenario_there_is_no_name_and_the_usual_length() -> None:
    scenario = choose_scenario()
    assert (scenario.name, scenario.peers, scenario.minutes, scenario.faults) == ("", 3, 3.0, ())


def test_a_file_is_called_by_its_own_name_unless_it_says_another(tmp_path: Path) -> None:
    file = tmp_path / "storm.yaml"
    file.write_text("peers: 2")
    assert choose_scenario(str(file)).name == "storm"
    file.write_text("name: calm")
    assert choose_scenario(str(file)).name == "calm"


def test_flags_take_precedence() -> None:
    scenario = choose_scenario("kill-leader", peers=6, versions=500)
    assert (scenario.peers, scenario.minutes, scenario.versions) == (6, None, 500)
    assert len(scenario.faults) == 3


JOINS_AGAIN = """
faults:
  - {do: kill, target: follower, at_version: 3}
  - {do: join, target: peer-1, at_version: 3}
"""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            {"wanted": "kill-leadr"},
            "no scenario kill-leadr; name a YAML file, or one of faces, frozen-leader, kill",
        ),
        ({"minutes": 0}, "--minutes 0 is no length"),
        ({"minutes": -1}, "--minutes -1 is no length"),
        ({"minutes": float("inf")}, "--minutes inf is no length"),
        ({"wanted": "kill-leader", "minutes": 1}, "too short for 'join peer-5' at 110 s; .* --minutes 2"),
        ({"wanted": "partition", "minutes": 1}, "'cut half' at 40 s, for 30 s; .* --minutes 1.4"),
        ({"wanted": "freeze-leader", "minutes": 4}, "'stop leader' at version 3, for 12 s, 20 times; .* 4.2"),
        (
            {"wanted": "late-joiner", "peers": 4},
            "has peer-4 join, but with 4 peers it is there from the start",
        ),
    ],
)
def test_what_cannot_happen_is_refused_in_one_line(arguments: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError, match=line) as refused:
        choose_scenario(**arguments)  # type: ignore[arg-type]  # the cases are of several types
    assert "\n" not in str(refused.value)


def test_too_few_versions_for_the_faults_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "again.yaml"
    file.write_text(JOINS_AGAIN)
    assert choose_scenario(str(file), versions=4).versions == 4
    with pytest.raises(ConfigError, match="--versions 3 is too low for .* at version 3; .* --versions 4"):
        choose_scenario(str(file), versions=3)


def test_who_ended_before_may_join_again_and_who_ends_later_may_not(tmp_path: Path) -> None:
    file = tmp_path / "again.yaml"
    file.write_text(JOINS_AGAIN.replace("at_version: 3", "at_version: 9", 1))
    with pytest.raises(ConfigError, match="peer-1 join"):
        choose_scenario(str(file), minutes=1)
