"""Peers behind firewalls, who reach all but each other: they contribute, and hold nobody up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pgan.protocol.ids import VersionRecord
from p2pgan.simulation.run import CONFIG, simulate
from p2pgan.simulation.scenario import PeerSetup, Scenario
from p2pgan.simulation.world import World

FROM_S, TO_S = 10.0, 130.0
"""Everyone is there. They own nothing for a minute at first, are tried again, and then for two."""
ONE_LEADER = replace(CONFIG, rotate_every=0)


def versions(monkeypatch: pytest.MonkeyPatch, seed: int, behind: str) -> dict[int, int]:
    """How many peers contributed to each version of that time."""
    found: dict[int, int] = {}
    apply = World.applied

    def watched(world: World, who: str, record: VersionRecord) -> None:
        if FROM_S <= world.now <= TO_S:
            found[record.version] = len(record.contributions)
        apply(world, who, record)

    peers = tuple(
        PeerSetup(name=name, behind_nat=name in behind, joins_at=0.0 if name == "a" else 4.0)
        for name in "abcd"
    )
    with monkeypatch.context() as patched:
        patched.setattr(World, "applied", watched)
        # Or whoever comes next may get the pen, one of the two perhaps.
        patched.setattr("p2pgan.simulation.perform.LOST_ANSWERS", 0.0)
        outcome = simulate(Scenario(seed=seed, peers=peers, faults_until=TO_S), ONE_LEADER)
    assert outcome.violations == ()
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("behind", ["cd", "bcd"])
def test_rounds_go_on_with_all_of_them(monkeypatch: pytest.MonkeyPatch, seed: int, behind: str) -> None:
    usual = versions(monkeypatch, seed, behind="")
    apart = versions(monkeypatch, seed, behind)

    assert len(apart) > 0.8 * len(usual), "two exchanges of eight seconds each are all that it costs"
    assert sum(count == 4 for count in apart.values()) > 0.85 * len(apart)


@pytest.mark.parametrize(
    ("peers", "round_s", "elements"),
    [(2, 5.0, 10_000), (8, 5.0, 10_000), (16, 15.0, 10_000), (16, 5.0, 1_000_000)],
)
@pytest.mark.parametrize("seed", range(2))
def test_where_everyone_reaches_everyone_nobody_rests(
    seed: int, peers: int, round_s: float, elements: int
) -> None:
    """Nor riders, who wait for a round's results as long as it is trained, nor who has a full line."""
    config = replace(CONFIG, round_s=round_s, vector_size=elements, images=100_000)
    swarm = tuple(PeerSetup(name=f"p{number:02}", joins_at=3.0 * number) for number in range(peers))
    scenario = Scenario(seed=seed, peers=swarm, faults_until=3.0 * peers + 10 * round_s)
    outcome = simulate(scenario, config, quiet_s=10 * round_s)
    assert outcome.violations == ()
    assert outcome.committed > 5
    assert [line for line in outcome.trace if "reduces none" in line] == []
