"""A simulated peer: the real state machine, which can crash, freeze, leave and start again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from p2pgan.protocol.effects import Effect, Finish, Note
from p2pgan.protocol.events import Event, LeaveRequested, LinkEnded, SnapshotInstalled, Tick, UplinkMeasured
from p2pgan.protocol.ids import PeerId, VersionRecord
from p2pgan.protocol.machine import Machine
from p2pgan.simulation.network import LEAST_DELAY_S
from p2pgan.simulation.perform import Performer
from p2pgan.simulation.scenario import PeerSetup, Point
from p2pgan.simulation.vectors import SymbolicVectors
from p2pgan.simulation.world import State, World

TICK_S = 0.25
MEASURED_S = 3.0
"""From its start until a peer knows how fast it sends."""
START_AGAIN_S = 1.0
"""A peer that finds no database when it starts is started again after this."""


class SimulatedPeer:
    """One peer; ``start`` and ``crash`` may be called again and again."""

    def __init__(self, world: World, setup: PeerSetup, neighbours: dict[PeerId, SimulatedPeer]) -> None:
        self.world, self.me, self.neighbours = world, setup.name, neighbours
        self.clock_ahead = setup.clock_ahead
        self._full_speed = setup.images_per_s
        self.slower = 1.0
        """How many times slower than usual it trains."""
        self.spoils = False
        """Whether its contributions are not valid."""
        self.alive = self.frozen = self.finished = False
        self.outbox: tuple[tuple[VersionRecord, ...], State] | None = None
        """The commit that its journal keeps: it outlives a crash."""
        self._doomed: tuple[Point, Callable[[], None]] | None = None
        self.handled = 0
        """Events taken in all its lives."""
        self._life = 0
        self._inbox: list[Event] = []

    @property
    def running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self.alive and not self.finished

    @property
    def images_per_s(self) -> float:
        return self._full_speed / self.slower

    def start(self) -> None:
        """A fresh process of the same identity: nothing in memory, the journal as it was left."""
        world = self.world
        self._life += 1
        self.alive, self.frozen, self.finished = True, False, False
        self._doomed, self._inbox = None, []
        self.machine = Machine(world.config, self.me, "run")
        self.vectors = SymbolicVectors(world, self.me)
        self.performer = Performer(self)
        world.note(self.me, "starts")
        self._begin()

    def _begin(self) -> None:
        world = self.world
        if not world.reaches_database(self.me):
            self.later(START_AGAIN_S, self._begin)
            return
        world.rendezvous.register(self.me, f"{self.me}/{self._life}", world.now)
        kept, self.outbox = self.outbox, None
        if kept is not None and kept[0][-1].version > world.rendezvous.version:
            records, state = kept
            self.vectors.install(state)
            self.take(
                SnapshotInstalled(self.performer.transfers.manifest(state, records[-1].images), records)
            )
        self.later(world.random.uniform(0, TICK_S), self._tick)
        self.answer(MEASURED_S, UplinkMeasured(world.network.uplinks[self.me]))

    def crash(self) -> None:
        """kill -9. The system closes its connections."""
        self.alive = False
        self.world.invariants.follows(self.me)
        self.world.note(self.me, "crashes")
        for other in self.neighbours.values():
            if not self.world.network.is_cut(self.me, other.me):
                self.world.after(LEAST_DELAY_S, partial(other.take, LinkEnded(self.me)))

    def doom(self, point: Point, afterwards: Callable[[], None]) -> None:
        """Let it crash when it comes to ``point``; then do ``afterwards``."""
        self._doomed = (point, afterwards)

    def spare(self) -> None:
        """It crashes nowhere any more."""
        self._doomed = None

    def comes_to(self, point: Point) -> None:
        """Called at each point at which a peer may be doomed to crash."""
        if self._doomed is not None and self._doomed[0] is point and self.alive:
            afterwards = self._doomed[1]
            self._doomed = None
            self.world.note(self.me, f"comes to its end: {point}")
            self.crash()
            afterwards()

    def freeze(self) -> None:
        """SIGSTOP: events wait."""
        self.frozen = True
        self.world.note(self.me, "freezes")

    def thaw(self) -> None:
        self.frozen = False
        self.world.note(self.me, "wakes")
        waiting, self._inbox = self._inbox, []
        for event in waiting:
            self.take(event)

    def leave(self) -> None:
        """Ctrl-C."""
        self.take(LeaveRequested())

    # -- events ------------------------------------------------------------------------------

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """In this life only."""
        self.world.after(delay, partial(self._act, self._life, action))

    def _act(self, life: int, action: Callable[[], None]) -> None:
        if self.alive and self._life == life:
            action()

    def in_this_life(self, action: Callable[[], None]) -> Callable[[], None]:
        """``action``, which does nothing once this process has ended."""
        return partial(self._act, self._life, action)

    def _tick(self) -> None:
        self.later(TICK_S, self._tick)
        if not self.frozen:
            self.take(Tick())

    def answer(self, delay: float, event: Event) -> None:
        """``event`` comes after a while."""
        self.later(delay, partial(self.take, event))

    def take(self, event: Event) -> None:
        """One event in, all its effects out, and a look at who trusts to hold the pen."""
        if not self.alive or self.finished:
            return
        if self.frozen:
            self._inbox.append(event)
            return
        self.handled += 1
        machine, world = self.machine, self.world
        for effect in machine.handle(world.now + self.clock_ahead, event):
            self._perform(effect)
            if not self.alive:
                return
        leadership = machine.leadership
        if leadership.is_leader:
            world.invariants.trusts(self.me, leadership.trusted_until - self.clock_ahead, world.now)
        else:
            world.invariants.follows(self.me)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Note():
                self.world.note(self.me, f"{effect.kind}: {effect.text}")
            case Finish():
                self.finished = True
                self.world.note(self.me, f"ends: {effect.reason}")
                if self.world.reaches_database(self.me):
                    self.world.rendezvous.leave(self.me)
            case _:
                self.performer.perform(effect)
