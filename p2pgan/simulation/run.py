"""One simulation: faults for a while, then quiet; at the end everyone must agree and go on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import extract_tb

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.simulation.faults import MENDED_S, Faults
from p2pgan.simulation.invariants import PROGRESS, SOUND
from p2pgan.simulation.peer import SimulatedPeer
from p2pgan.simulation.scenario import Scenario
from p2pgan.simulation.world import World

QUIET_S = 45.0
"""Enough for a lease to run out, a snapshot to travel and some rounds."""
IDLE_S = 15.0
"""A peer without a fault contributes more often than this."""
CATCH_UP_S = 3.0
"""A peer without a fault has what was in the database so long ago."""
SETTLED_VERSIONS = 5
"""Least number of versions committed in ``QUIET_S``."""
SLOWEST_ROUND_S = 10.0
"""Rounds that take longer than this on average, faults included, are no progress."""

CONFIG = ProtocolConfig(
    images=1000,
    unit_images=64,
    microbatch=8,
    vector_size=10_000,
    schema_hash="simulated",
    round_s=1.5,
    commit_s=2.0,
    rotate_every=4,
    set_aside_s=15.0,
)
"""Small epochs and short rounds, so that a minute holds many of both."""


GRADIENTS = replace(CONFIG, sync="gradients", local_steps=4, vector_border=4000)
"""The same with a round for each step, of four microbatches; what is after the border is trained first."""

GOSSIP = replace(CONFIG, sync="gossip", mix_s=0.4)
"""The same with some mixing in each round."""

CONFIGS = {"deltas": CONFIG, "gradients": GRADIENTS, "gossip": GOSSIP}
"""By the scenario's ``sync``."""

PARTS = replace(CONFIG, parts=(90, 130, 500, 1000))
"""The same with parts of an epoch, of unlike length, that should go to different peers."""


@dataclass(frozen=True)
class Outcome:
    """What a simulation showed. ``violations`` is empty if all invariants held."""

    seed: int
    peers: int
    faults: int
    seconds: float
    """Virtual time."""
    versions: int
    committed: int
    terms: int
    messages: int
    statements: int
    """Calls that the database executed."""
    handled: dict[str, int]
    """Events that each peer has taken."""
    violations: tuple[str, ...]
    trace: tuple[str, ...]


def simulate(scenario: Scenario, config: ProtocolConfig | None = None, quiet_s: float = QUIET_S) -> Outcome:
    """Run a scenario. The same scenario gives the same outcome, to the last line of the trace.

    ``config`` is the run's, by default a small one of the scenario's ``sync``.

    ``quiet_s`` is how long everyone has to agree and go on at the end; if it is too short for
    ``SETTLED_VERSIONS``, only the invariants and the rounds of the scenario count.
    """
    world = World(scenario.seed, config or CONFIGS[scenario.sync], scenario.loss)
    swarm: dict[str, SimulatedPeer] = {}
    for setup in scenario.peers:
        peer = SimulatedPeer(world, setup, swarm)
        swarm[setup.name] = peer
        world.network.uplinks[setup.name] = setup.bytes_per_s
        if setup.behind_nat:
            world.network.behind_nat.add(setup.name)
        world.at(setup.joins_at, peer.start)
    Faults(world, swarm, scenario.faults_until).schedule(scenario.faults)
    try:
        with _collector_at_rest():
            _run(world, swarm, scenario, quiet_s)
    except Exception as error:
        # Whatever the state machine raises would have ended a real peer: a violation like any other.
        world.violated(SOUND, f"{type(error).__name__}: {error} ({_place_of(error)})")
    return Outcome(
        seed=scenario.seed,
        peers=len(scenario.peers),
        faults=len(scenario.faults),
        seconds=round(world.now, 3),
        versions=world.newest,
        committed=world.rendezvous.version,
        terms=world.rendezvous.term,
        messages=world.messages,
        statements=world.statements,
        handled={peer.me: peer.handled for peer in swarm.values()},
        violations=tuple(world.violations),
        trace=tuple(world.trace),
    )


def _place_of(error: Exception) -> str:
    """Where it was raised."""
    last = extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Looking for cycles among millions of objects took a third of the time, and there are few."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _run(world: World, swarm: dict[str, SimulatedPeer], scenario: Scenario, quiet_s: float) -> None:
    world.run_until(scenario.faults_until + MENDED_S)
    deadline = world.now + scenario.rounds * SLOWEST_ROUND_S
    while world.rendezvous.version < scenario.rounds and world.now < deadline and not world.violations:
        world.run_until(world.now + 1.0)
    settled = world.rendezvous.version
    world.run_until(world.now + quiet_s - CATCH_UP_S)
    due = world.rendezvous.version
    world.run_until(world.now + CATCH_UP_S)
    if not world.violations and quiet_s >= QUIET_S:
        _check_end(world, swarm, scenario, settled, due)


def _check_end(
    world: World, swarm: dict[str, SimulatedPeer], scenario: Scenario, settled: int, due: int
) -> None:
    """``settled`` versions were committed when the quiet began, and everyone must have version ``due``."""
    database = world.rendezvous
    epochs = min((epoch.epoch for epoch in database.progress().epochs), default=0)
    world.invariants.complete(epochs)
    if database.version < max(settled + SETTLED_VERSIONS, scenario.rounds):
        world.violated(PROGRESS, f"from version {settled} only to {database.version} in {QUIET_S} s")
    if not scenario.everyone_meets:
        # Whom the leader does not reach waits for another leader.
        return
    idle = [p for p in swarm if world.contributed_at.get(p, -IDLE_S) < world.now - IDLE_S]
    if idle:
        world.violated(PROGRESS, f"{', '.join(sorted(idle))} contributed nothing for {IDLE_S} s")
    behind = [p.me for p in swarm.values() if p.machine.core.version < due or not p.machine.core.has_weights]
    if behind:
        world.violated(PROGRESS, f"{', '.join(behind)} did not catch up with version {due}")
