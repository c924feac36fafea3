"""Who joins late gets the weights over the lines that the rounds use, and does not hold them up."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import mean

import pytest

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.ids import VersionRecord
from p2pgan.simulation.run import CONFIG, Outcome, simulate
from p2pgan.simulation.scenario import PeerSetup, Scenario
from p2pgan.simulation.world import World

SHORT = replace(CONFIG, vector_size=2_000_000, images=100_000)
"""Rounds of 1.5 s; 4 MB of slices and results each, 12 MB of a snapshot."""
LARGE = replace(CONFIG, vector_size=7_600_000, images=100_000, round_s=5.0)
"""Rounds of 5 s; 15 MB each, 46 MB of a snapshot."""
UPLINK = 10e6
JOINS_AT = 80.0
SLOWER = 1.1
SEEDS = range(6)


@pytest.fixture
def applied_at(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """When the first peer came to each version."""
    times: dict[int, float] = {}
    apply = World.applied

    def watched(world: World, who: str, record: VersionRecord) -> None:
        times.setdefault(record.version, world.now)
        apply(world, who, record)

    monkeypatch.setattr(World, "applied", watched)
    return times


def swarm(*names: str, late: float | None = None) -> tuple[PeerSetup, ...]:
    joiner = () if late is None else (PeerSetup(name="late", joins_at=late, bytes_per_s=UPLINK),)
    return (*(PeerSetup(name=name, bytes_per_s=UPLINK) for name in names), *joiner)


def said_by_late(outcome: Outcome, pattern: str) -> float:
    """When the joiner first said so after it joined."""
    lines = (line for line in outcome.trace if re.search(rf" late catch-up: {pattern}", line))
    return float(next(lines).split()[0])


@pytest.mark.parametrize("config", [SHORT, LARGE], ids=["12 MB, 1.5 s", "46 MB, 5 s"])
def test_a_joiner_gets_in_and_slows_no_round_by_more_than_a_tenth(
    applied_at: dict[int, float], config: ProtocolConfig
) -> None:
    before, meanwhile = [], []
    for seed in SEEDS:
        applied_at.clear()
        scenario = Scenario(seed=seed, peers=swarm(*"abcd", late=JOINS_AT), faults_until=JOINS_AT + 20)
        outcome = simulate(scenario, config)
        began = said_by_late(outcome, r"fetching version \d+, .* from 4 donors")
        ended = said_by_late(outcome, r"version \d+ loaded")
        assert outcome.violations == (), "among others it would have contributed nothing"
        for version, at in applied_at.items():
            length = at - applied_at.get(version - 1, 0.0)
            if JOINS_AT / 2 < at <= began:
                before.append(length)
            elif at > began and at - length < ended:
                meanwhile.append(length)
    assert mean(meanwhile) <= SLOWER * mean(before), f"{mean(before):.2f} s, then {mean(meanwhile):.2f} s"


@pytest.mark.parametrize("seed", range(3))
def test_a_leader_that_trains_alone_leaves_room_for_the_snapshots_of_all_others(seed: int) -> None:
    """Four start at once: three fetch 46 MB from the first, over the line that its results take as well."""
    outcome = simulate(Scenario(seed=seed, peers=swarm(*"abcd"), faults_until=40.0), LARGE)

    assert outcome.violations == ()
    assert any("committed: 4 contributors" in line for line in outcome.trace)
