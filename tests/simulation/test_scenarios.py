"""Scenarios are values: drawn by a seed, written to a file, read again, and the same each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.protocol.plans import Planner
from p2pgan.simulation.draw import draw_scenario
from p2pgan.simulation.run import GRADIENTS, Outcome, simulate
from p2pgan.simulation.scenario import (
    LEADER,
    Crash,
    CrashAll,
    Cut,
    DatabaseDown,
    Freeze,
    Leave,
    PeerSetup,
    Point,
    Scenario,
    SlowLink,
    SlowPeer,
    as_yaml,
    parse_scenario,
    read_scenario,
)

TRIO = (PeerSetup(name="a"), PeerSetup(name="b"), PeerSetup(name="c"))


def test_a_drawn_scenario_comes_back_from_its_file(tmp_path: Path) -> None:
    for seed in range(30):
        scenario = draw_scenario(seed)
        path = tmp_path / f"{seed}.yaml"
        path.write_text(as_yaml(scenario), encoding="utf-8")
        assert read_scenario(path) == scenario


def test_a_scenario_from_a_file_replays_the_drawn_one_exactly() -> None:
    scenario = draw_scenario(5)
    assert simulate(parse_scenario(as_yaml(scenario))) == simulate(scenario)


def test_a_round_for_each_step_replays_from_its_file_too() -> None:
    scenario = draw_scenario(5, sync="gradients")
    read = parse_scenario(as_yaml(scenario))
    assert read == scenario
    assert simulate(read) == simulate(scenario, GRADIENTS)
    assert simulate(read).trace != simulate(draw_scenario(5)).trace


def test_all_kinds_of_faults_are_drawn() -> None:
    drawn = {type(fault).__name__ for seed in range(100) for fault in draw_scenario(seed).faults}
    assert drawn == {
        "Crash", "CrashAll", "Cut", "CutDatabase", "DatabaseDown", "Freeze", "Leave", "Partition",
        "SlowLink", "SlowPeer", "Weather",
    }  # fmt: skip


def test_churn_and_loss_draw_nothing_else() -> None:
    churn = draw_scenario(1, peers=10, rounds=50, churn=0.5)
    assert {type(fault) for fault in churn.faults} == {Crash, Leave}
    loss = draw_scenario(1, peers=10, loss=0.05)
    assert (loss.faults, loss.loss) == ((), 0.05)


@pytest.mark.parametrize("point", Point)
def test_a_leader_that_dies_between_two_steps_is_survived(point: Point) -> None:
    # Of the second term, whose leader then has the pen for ten seconds.
    fault = Crash(at=11.1, target=LEADER, restart_after=4.0, point=point)
    late = PeerSetup(name="d", joins_at=11.5)
    outcome = simulate(Scenario(seed=3, peers=(*TRIO, late), faults=(fault,), faults_until=20.0))
    assert outcome.violations == ()
    assert any(f"comes to its end: {point}" in line for line in outcome.trace)


def test_a_commit_that_waits_in_the_journal_is_not_lost() -> None:
    """The database goes away, rounds go on, everyone is killed; the journals keep what was left."""
    faults = (DatabaseDown(at=8.0, seconds=8.0), CrashAll(at=15.0, restart_within=0.5))
    kept = simulate(Scenario(seed=1, peers=TRIO, faults=faults, faults_until=20.0))
    assert kept.violations == ()
    assert any("goes on from version" in line and " 1" in line for line in kept.trace)


def test_a_peer_behind_a_nat_is_reached_over_what_it_dialled_and_takes_part() -> None:
    """In the model's network. The transport's connections have one direction each, so there it does not."""
    peers = (PeerSetup(name="a"), PeerSetup(name="b"), PeerSetup(name="c", behind_nat=True))
    assert simulate(Scenario(seed=1, peers=peers, faults_until=10.0)).violations == ()


def test_two_peers_that_only_dial_out_do_no_harm() -> None:
    hidden = tuple(PeerSetup(name=name, behind_nat=True) for name in "bc")
    outcome = simulate(Scenario(seed=1, peers=(PeerSetup(name="a"), *hidden), faults_until=10.0))
    assert outcome.violations == ()


def donors_die(seed: int, restart_after: float) -> Outcome:
    """A joiner asks four donors at a time when their lines to it are slow; one after the other dies."""
    donors = "abcd"
    peers = (*(PeerSetup(name=name) for name in donors), PeerSetup(name="late", joins_at=10.0))
    lines = [
        SlowLink(at=8.0, source=name, to="late", seconds=14.0, latency=0.05, bytes_per_s=1e3)
        for name in donors
    ]
    deaths = [
        Crash(at=14.0 + 2.0 * turn, target=name, restart_after=restart_after)
        for turn, name in enumerate(donors)
    ]
    return simulate(Scenario(seed=seed, peers=peers, faults=(*lines, *deaths), faults_until=40.0))


def told_by(outcome: Outcome, who: str, kind: str) -> list[str]:
    """What a peer said of its kind, in order."""
    words = (line.split(maxsplit=3) for line in outcome.trace)
    return [word[3] for word in words if len(word) == 4 and word[1:3] == [who, f"{kind}:"]]


@pytest.mark.parametrize("seed", range(4))
def test_a_joiner_whose_donors_die_one_after_the_other_gets_in(seed: int) -> None:
    """They are back soon; without violation means that the joiner contributes in the end, too."""
    outcome = donors_die(seed, restart_after=5.0)
    assert outcome.violations == ()
    told = told_by(outcome, "late", "catch-up")
    assert "from 4 donors" in told[0]
    assert any(line.endswith(" loaded") for line in told)


@pytest.mark.parametrize("seed", range(4))
def test_a_joiner_that_outlives_all_its_donors_goes_on_from_the_database(seed: int) -> None:
    outcome = donors_die(seed, restart_after=18.0)
    assert outcome.violations == ()
    told = told_by(outcome, "late", "catch-up")
    assert "from 4 donors" in told[0]
    assert told[1] == "snapshot given up: this peer leads now"
    assert re.fullmatch(r"loading committed version \d+ from the rendezvous", told[2])
    assert re.fullmatch(r"version \d+ loaded", told[3])


def test_other_faults_by_hand() -> None:
    faults = (
        Freeze(at=6.0, target=LEADER, seconds=9.0),
        SlowPeer(at=7.0, target="b", seconds=10.0, factor=10.0),
        SlowLink(at=8.0, source="a", to="b", seconds=8.0, latency=1.0, bytes_per_s=5e3),
        Cut(at=9.0, source="b", to="c", seconds=5.0, one_way=True),
        Leave(at=12.0, target="c", join_after=5.0),
    )
    assert simulate(Scenario(seed=2, peers=TRIO, faults=faults, faults_until=20.0)).violations == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("peers: [", "not valid YAML"),
        ("seed: 1\npeers: []", "length >= 1"),
        ("seed: 1\npeers: [{name: a}]\nfaults: [{do: explode, at: 1}]", "explode"),
        ("seed: 1\npeers: [{name: a}]\nfaults: [{do: freeze, at: 1, target: b, seconds: 1}]", "a fault of b"),
        ("seed: 1\npeers: [{name: a}, {name: a}]", "name of its own"),
        ("seed: 1\npeers: [{name: a}]\ntypo: 1", "typo"),
    ],
)
def test_what_is_no_scenario_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refusal:
        parse_scenario(text)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_scenario(tmp_path / "none.yaml")


@pytest.mark.parametrize("error", [AttributeError, ValueError, ZeroDivisionError])
def test_whatever_a_state_machine_raises_is_a_violation_with_its_place(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def broken(self: Planner) -> None:
        raise error("out of order")

    monkeypatch.setattr(Planner, "next_plan", broken)
    (violation,) = simulate(Scenario(seed=1, peers=TRIO, faults_until=10.0)).violations
    assert re.search(rf"sound: {error.__name__}: out of order \(test_scenarios.py, line \d+\)$", violation)
