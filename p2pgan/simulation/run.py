"""One seeded run: faults for a while, then quiet; at the end everyone must agree and go on."""

from __future__ import annotations

from dataclasses import dataclass

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.history import agreement_problems, chain_problems, count_problems
from p2pgan.simulation.faults import Faults
from p2pgan.simulation.peer import SimulatedPeer
from p2pgan.simulation.world import World

FAULTS_UNTIL_S = 35.0
QUIET_S = 45.0
"""Enough for a lease to run out, a snapshot to travel and some rounds."""


SWARMS = (2, 3, 3, 4, 4, 5, 6, 8, 12)
"""Sizes of swarms, one drawn for each seed."""
IDLE_S = 15.0
"""A peer without a fault contributes more often than this."""


@dataclass(frozen=True)
class Outcome:
    """What one seed showed. ``violations`` is empty if all invariants held."""

    seed: int
    versions: int
    committed: int
    terms: int
    messages: int
    violations: tuple[str, ...]
    trace: tuple[str, ...]


CONFIG = ProtocolConfig(
    images=1000,
    unit_images=64,
    microbatch=8,
    vector_size=10_000,
    schema_hash="simulated",
    round_s=1.5,
    commit_s=2.0,
    rotate_every=4,
)
"""Small epochs and short rounds, so that a minute holds many of both."""


def simulate(seed: int, *, peers: int | None = None) -> Outcome:
    """Run one seed. The same seed gives the same outcome, to the last line of the trace."""
    world = World(seed, CONFIG)
    count = peers if peers is not None else world.random.choice(SWARMS)
    swarm: dict[str, SimulatedPeer] = {}
    for index in range(count):
        name = f"p{index}"
        swarm[name] = SimulatedPeer(world, name, swarm, world.random.choice([20.0, 50.0, 100.0]))
        world.at(world.random.uniform(0, 3) if index < 2 else world.random.uniform(0, 25), swarm[name].start)
    Faults(world, swarm, FAULTS_UNTIL_S).schedule()
    world.run_until(FAULTS_UNTIL_S + 2)
    settled = world.rendezvous.version
    world.run_until(FAULTS_UNTIL_S + 2 + QUIET_S)
    if not world.violations:
        _check_end(world, swarm, settled)
    return Outcome(
        seed,
        max((r.version for _, _, r in world.applied), default=0),
        world.rendezvous.version,
        world.rendezvous.term,
        world.messages,
        tuple(world.violations),
        tuple(world.trace),
    )


def _check_end(world: World, swarm: dict[str, SimulatedPeer], settled: int) -> None:
    database = world.rendezvous
    for problem in chain_problems(database.history, world.genesis):
        world.violated("one pen", problem)
    complete = min((e.epoch for e in database.progress(world.config.images).epochs), default=0)
    for problem in (
        *count_problems(database.history, world.config.images, complete),
        *database.refusals,
    ):
        world.violated("exactly once", problem)
    for problem in agreement_problems((p, r) for _, p, r in world.applied):
        world.violated("all or nothing", problem)
    if database.version < settled + 5:
        world.violated("progress", f"from version {settled} only to {database.version} in {QUIET_S} s")
    behind = [
        p.me
        for p in swarm.values()
        if p.machine.core.version < database.version or not p.machine.core.has_weights
    ]
    idle = set(swarm) - {
        c.peer for at, _, r in world.applied if at > world.now - IDLE_S for c in r.contributions
    }
    if idle:
        world.violated("progress", f"{', '.join(sorted(idle))} contributed nothing for {IDLE_S} s")
    if behind:
        world.violated("progress", f"{', '.join(behind)} did not catch up with version {database.version}")
