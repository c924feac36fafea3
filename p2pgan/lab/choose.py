"""From what was asked of ``p2pgan lab`` to a scenario that can happen from its start to its end."""

from __future__ import annotations

import math
from pathlib import Path

from p2pgan.errors import ConfigError
from p2pgan.lab.fault import Action, Fault, Role
from p2pgan.lab.scenario import Scenario, parse_scenario, read_scenario

USUAL_MINUTES = 3.0
AFTERWARDS_S = 10.0
"""A lab goes on for so long after its last fault is over, or nobody could see what followed."""


def choose_scenario(
    wanted: str | None = None,
    peers: int | None = None,
    minutes: float | None = None,
    versions: int | None = None,
) -> Scenario:
    """The scenario ``wanted``, a shipped one's name or a file, with the flags on top.

    Without one nothing happens to the peers. A flag for the length replaces the scenario's own. What
    neither of them said is not among the ``model_fields_set``, but for the usual length.

    Raises:
        ConfigError: no such scenario, or it cannot happen as it was asked for.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise ConfigError(f"--minutes {minutes:g} is no length for a lab; give a number above 0")
    found = _find(wanted) if wanted is not None else Scenario()
    values = found.model_dump(exclude_none=True, exclude_unset=True)
    if minutes is not None or versions is not None:
        values = {key: value for key, value in values.items() if key not in {"minutes", "versions"}}
    given = {"peers": peers, "minutes": minutes, "versions": versions}
    values |= {key: value for key, value in given.items() if value is not None}
    if "minutes" not in values and "versions" not in values:
        values["minutes"] = USUAL_MINUTES
    scenario = parse_scenario(values)
    _refuse_too_short(scenario)
    _refuse_joins_of_those_who_are_there(scenario)
    return scenario


def shipped_scenarios(suite: bool = False) -> dict[str, Path]:
    """The scenarios that come with p2pgan, by name; with ``suite`` those of the fault suite."""
    package, checkout = Path(__file__).parent / "scenarios", Path(__file__).parents[2] / "scripts" / "labs"
    folder = package if package.is_dir() else checkout
    return {file.stem: file for file in sorted((folder / "suite" if suite else folder).glob("*.yaml"))}


def _find(wanted: str) -> Scenario:
    shipped = shipped_scenarios()
    if (file := (shipped_scenarios(suite=True) | shipped).get(wanted)) is not None:
        return read_scenario(file)
    if not Path(wanted).exists() and Path(wanted).name == wanted:
        raise ConfigError(f"there is no scenario {wanted}; name a YAML file, or one of {', '.join(shipped)}")
    return read_scenario(Path(wanted))


def _refuse_too_short(scenario: Scenario) -> None:
    ends = [((fault.at_s or 0.0) + fault.lasts_s, fault) for fault in scenario.faults]
    if scenario.minutes is not None and ends:
        end_s, fault = max(ends, key=lambda pair: pair[0])
        needed = (end_s + AFTERWARDS_S) / 60
        if scenario.minutes < needed:
            raise ConfigError(
                f"{scenario.minutes:g} min are too short for '{fault}' {fault.when}; "
                f"give at least --minutes {math.ceil(needed * 10) / 10:g}"
            )
    counted = [(fault.at_version, fault) for fault in scenario.faults if fault.at_version is not None]
    if scenario.versions is not None and counted:
        at_version, fault = max(counted, key=lambda pair: pair[0])
        if scenario.versions <= at_version:
            raise ConfigError(
                f"--versions {scenario.versions} is too low for '{fault}' at version {at_version}; "
                f"give at least --versions {at_version + 1}"
            )


def _refuse_joins_of_those_who_are_there(scenario: Scenario) -> None:
    there = {f"peer-{number}" for number in range(1, scenario.peers + 1)}
    for fault in scenario.faults:
        if fault.do is not Action.JOIN or fault.target is None:
            continue
        ends = [f for f in scenario.faults if _may_end(f, fault)]
        if fault.target in there and not ends:
            raise ConfigError(
                f"the scenario has {fault.target} join, but with {scenario.peers} peers it is there from the "
                "start; lower --peers, or choose another name"
            )
        there.add(fault.target)


def _may_end(fault: Fault, join: Fault) -> bool:
    """Whether ``fault`` may be what ended the one who joins again."""
    if fault.do not in {Action.KILL, Action.LEAVE} or fault.target not in {
        Role.LEADER,
        Role.FOLLOWER,
        join.target,
    }:
        return False
    if fault.at_s is not None and join.at_s is not None:
        return fault.at_s <= join.at_s
    if fault.at_version is not None and join.at_version is not None:
        return fault.at_version <= join.at_version
    return True
