"""A peer whose contributions are never valid, amid all other faults: nothing breaks, it is set aside."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import msgspec

from p2pgan.simulation.draw import draw_scenario
from p2pgan.simulation.run import Outcome, simulate
from p2pgan.simulation.scenario import PeerSetup, Scenario, Spoil

SEEDS = 100
SPOILED = "p0"


def run_seed(seed: int) -> Outcome:
    scenario = draw_scenario(seed)
    spoil = Spoil(at=8.0, target=SPOILED, seconds=27.0)
    return simulate(msgspec.structs.replace(scenario, faults=(*scenario.faults, spoil)))


def set_aside(outcome: Outcome) -> set[str]:
    return {line.split()[3] for line in outcome.trace if "is set aside for" in line}


def test_a_peer_that_sends_nonsense_breaks_no_invariant_and_is_set_aside() -> None:
    # Spawned, not forked: the parent may hold threads of other tests.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1, mp_context=context) as executor:
        outcomes = list(executor.map(run_seed, range(SEEDS), chunksize=10))

    broken = [f"seed {o.seed}: {o.violations}" for o in outcomes if o.violations]
    assert not broken
    assert min(o.committed for o in outcomes) >= 5
    caught = [set_aside(o) for o in outcomes]
    assert set().union(*caught) == {SPOILED}, "nobody else is"
    # A term of the simulation has few commits, and the spoiler leads now and then itself.
    assert sum(map(bool, caught)) > SEEDS / 4


def test_without_faults_the_others_go_on() -> None:
    peers = tuple(PeerSetup(name=name) for name in ("p0", "p1", "p2", "p3"))
    spoil = Spoil(at=6.0, target=SPOILED, seconds=20.0)
    outcome = simulate(Scenario(seed=1, peers=peers, faults=(spoil,), faults_until=28.0))

    assert outcome.violations == ()
    assert set_aside(outcome) == {SPOILED}
    assert outcome.committed >= 10
