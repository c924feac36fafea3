"""A simulated peer: the real state machine on modelled training, transport and database."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from p2pgan.protocol.effects import (
    Apply,
    BeginSnapshot,
    BuildCandidate,
    Commit,
    Effect,
    Finish,
    ForgetRounds,
    InstallSnapshot,
    LoadFromRendezvous,
    Note,
    Reduce,
    Send,
    SendChunk,
    SendResult,
    SendSlice,
    SendWelcome,
    StopTraining,
    Train,
)
from p2pgan.protocol.events import (
    CandidateReady,
    ChunkArrived,
    DatabaseFailed,
    Event,
    LeaveRequested,
    Received,
    Reduced,
    ResultArrived,
    SliceArrived,
    SnapshotInstalled,
    Tick,
    TrainingDone,
)
from p2pgan.protocol.ids import Contribution, PeerId, SnapshotManifest, Span, VersionRecord
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import ChunkMissing, Welcome
from p2pgan.simulation.database import execute_at_database
from p2pgan.simulation.vectors import Result, ResultKey, SliceKey, SymbolicVectors
from p2pgan.simulation.world import State, World, symbol

TICK_S = 0.25
CHUNKS = 3
LOST_ANSWERS = 0.01
"""Share of executed calls whose answer does not arrive: the caller cannot know that they took effect."""


class SimulatedPeer:
    """One peer; ``start`` and ``crash`` may be called again and again."""

    def __init__(
        self, world: World, me: PeerId, neighbours: dict[PeerId, SimulatedPeer], speed: float
    ) -> None:
        self.world, self.me, self.neighbours, self.speed = world, me, neighbours, speed
        self.alive = False
        self.frozen = False
        self.finished = False
        self._life = 0
        self._inbox: list[Event] = []

    def start(self) -> None:
        """A fresh process of the same identity: nothing in memory."""
        world = self.world
        self._life += 1
        self.alive, self.frozen, self.finished = True, False, False
        self._inbox = []
        self.machine = Machine(world.config, self.me, "run")
        self.vectors = SymbolicVectors(world, self.me)
        self._training = 0
        world.note(self.me, "starts")
        if world.database_up:
            world.rendezvous.register(self.me, world.now)
        self._later(world.random.uniform(0, TICK_S), self._tick)

    def crash(self) -> None:
        """kill -9."""
        self.alive = False
        self.world.note(self.me, "crashes")

    def freeze(self) -> None:
        """SIGSTOP: events wait."""
        self.frozen = True
        self.world.note(self.me, "freezes")

    def thaw(self) -> None:
        self.frozen = False
        self.world.note(self.me, "wakes")
        waiting, self._inbox = self._inbox, []
        for event in waiting:
            self._take(event)

    def leave(self) -> None:
        self._take(LeaveRequested())

    # -- events in ---------------------------------------------------------------------------

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        """In this life only."""
        life = self._life

        def act() -> None:
            if self.alive and self._life == life:
                action()

        self.world.after(delay, act)

    def _tick(self) -> None:
        self._later(TICK_S, self._tick)
        if not self.frozen:
            self._take(Tick())

    def _take(self, event: Event) -> None:
        if not self.alive or self.finished:
            return
        if self.frozen:
            self._inbox.append(event)
            return
        for effect in self.machine.handle(self.world.now, event):
            self._perform(effect)

    def _answer(self, delay: float, event: Event) -> None:
        self._later(delay, partial(self._take, event))

    # -- effects out -------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Note():
                self.world.note(self.me, f"{effect.kind}: {effect.text}")
            case Send():
                self._send(effect.to, "control", Received(self.me, effect.message))
            case Train():
                self._train(effect)
            case StopTraining():
                self._training, self.vectors.contribution = 0, None
            case Apply():
                self._apply(effect)
            case SendSlice() | Reduce() | SendResult() | BuildCandidate() | ForgetRounds():
                self._exchange(effect)
            case SendWelcome() | SendChunk() | BeginSnapshot() | InstallSnapshot():
                self._snapshot(effect)
            case Finish():
                self._finish()
            case _:
                self._database(effect)

    def _send(self, to: PeerId, channel: str, event: Event) -> None:
        other = self.neighbours.get(to)
        if other is not None:
            self.world.deliver(self.me, to, channel, lambda: other._take(event))

    def _finish(self) -> None:
        self.finished = True
        if self.world.database_up:
            self.world.rendezvous.leave(self.me, self.world.now)

    # -- training ----------------------------------------------------------------------------

    def _train(self, effect: Train) -> None:
        self._training, self.vectors.contribution = effect.ticket, None
        self._train_on(effect.ticket, effect.spans, sum(s.images for s in effect.spans))

    def _train_on(self, ticket: int, spans: tuple[Span, ...], images: int) -> None:
        def done() -> None:
            if self.frozen:
                self._later(TICK_S, done)
            elif self._training == ticket:
                self.vectors.contribution = Contribution(self.me, spans)
                self._take(TrainingDone(ticket, self.speed))

        self._later(images / self.speed * self.world.random.uniform(0.9, 1.2), done)

    def _apply(self, effect: Apply) -> None:
        self.vectors.apply(effect)
        if not effect.keep_training:
            self._training = 0
        self.world.applied.append((self.world.now, self.me, effect.record))

    # -- rounds ------------------------------------------------------------------------------

    def _exchange(self, effect: SendSlice | Reduce | SendResult | BuildCandidate | ForgetRounds) -> None:
        match effect:
            case SendSlice():
                self._send_slice(effect)
            case Reduce():
                self.vectors.reduce(effect)
                self._answer(0.001, Reduced(effect.term, effect.round, effect.attempt, effect.index))
            case SendResult():
                self._send_result(effect)
            case BuildCandidate():
                digest = self.vectors.build(effect)
                self._answer(0.002, CandidateReady(effect.term, effect.round, effect.attempt, digest))
            case ForgetRounds():
                self.vectors.forget(effect.below)

    def _send_slice(self, e: SendSlice) -> None:
        contribution = self.vectors.contribution
        assert contribution is not None
        key: SliceKey = (e.term, e.round, e.first_attempt, e.index, self.me)
        owner = self if e.shard.owner == self.me else self.neighbours.get(e.shard.owner)
        if owner is None:
            return

        def arrive() -> None:
            owner._store_slice(key, contribution)

        if owner is self:
            self._later(0.0, arrive)
        else:
            self.world.deliver(self.me, owner.me, "bulk", arrive)

    def _store_slice(self, key: SliceKey, contribution: Contribution) -> None:
        if self.alive and self.machine.member.accepts(key[0], key[1]):
            self.vectors.slices[key] = contribution
            self._take(SliceArrived(key[4], key[0], key[1], key[2], key[3]))

    def _send_result(self, e: SendResult) -> None:
        key: ResultKey = (e.term, e.round, e.attempt, e.index)
        result = self.vectors.results.get(key)
        if result is None:
            return
        if e.to == self.me:
            self._answer(0.0, ResultArrived(self.me, *key))
            return
        other = self.neighbours.get(e.to)
        if other is not None:
            self.world.deliver(self.me, e.to, "bulk", lambda: other._store_result(self.me, key, result))

    def _store_result(self, sender: PeerId, key: ResultKey, result: Result) -> None:
        if self.alive and self.machine.member.accepts(key[0], key[1]):
            self.vectors.results[key] = result
            self._take(ResultArrived(sender, *key))

    # -- snapshots ---------------------------------------------------------------------------

    def _snapshot(self, effect: SendWelcome | SendChunk | BeginSnapshot | InstallSnapshot) -> None:
        match effect:
            case SendWelcome():
                welcome = Welcome(
                    run="run",
                    term=effect.term,
                    manifest=self._manifest(),
                    ledger=effect.ledger,
                    donors=effect.donors,
                )
                self._send(effect.to, "control", Received(self.me, welcome))
            case SendChunk():
                self._send_chunk(effect)
            case InstallSnapshot():
                self._install(self.world.states[effect.manifest.digest], effect.manifest, effect.ledger)
            case BeginSnapshot():
                pass

    def _manifest(self) -> SnapshotManifest:
        state = self.vectors.base()
        config, images = self.world.config, self.machine.core.images
        chunks = tuple(symbol(state.digest, i) for i in range(CHUNKS))
        return SnapshotManifest(state.version, state.digest, config.schema_hash, images, CHUNKS, chunks)

    def _send_chunk(self, e: SendChunk) -> None:
        if e.digest in self.vectors.snapshots:
            event: Event = ChunkArrived(self.me, e.version, e.digest, e.index, True)
            self._send(e.to, "bulk", event)
        else:
            missing = ChunkMissing(
                run="run", term=self.machine.core.term, version=e.version, digest=e.digest, index=e.index
            )
            self._send(e.to, "control", Received(self.me, missing))

    def _install(self, state: State, manifest: SnapshotManifest, ledger: tuple[VersionRecord, ...]) -> None:
        """Checked first; then weights and state machine change in one step."""

        def install() -> None:
            if self.frozen:
                self._later(TICK_S, install)
                return
            self.vectors.install(state)
            self._training = 0
            self._take(SnapshotInstalled(manifest, ledger))

        self._later(0.01, install)

    # -- the database ------------------------------------------------------------------------

    def _database(self, effect: Effect) -> None:
        """The request travels, is executed at the database, and the answer travels back."""
        random = self.world.random
        if isinstance(effect, Commit):
            self._later(random.uniform(0.05, 0.4), lambda: self._ask(effect))  # staging
        else:
            self._ask(effect)

    def _ask(self, effect: Effect) -> None:
        """Once sent, a request is executed even if its sender crashes; the answer may get lost."""
        world, life = self.world, self._life
        random, failed = world.random, DatabaseFailed(type(effect).__name__)

        def execute() -> None:
            if not world.database_up or (self.me, "db") in world.cut:
                answer: Event | None = failed
                delay = random.uniform(0.1, 3.0)
            else:
                answer, delay = execute_at_database(world, self.me, effect), random.uniform(0.001, 0.02)
                if random.random() < LOST_ANSWERS:
                    answer = failed
            if self._life == life:
                self._later(delay, lambda: self._answered(effect, answer))

        world.after(random.uniform(0.001, 0.02), execute)

    def _answered(self, effect: Effect, answer: Event | None) -> None:
        if isinstance(effect, LoadFromRendezvous) and not isinstance(answer, DatabaseFailed):
            db = self.world.rendezvous
            images = db.history[-1].images if db.history else 0
            schema = self.world.config.schema_hash
            manifest = SnapshotManifest(db.version, db.digest, schema, images, CHUNKS, ("",) * CHUNKS)
            self._install(self.world.states[db.digest], manifest, ())
        elif answer is not None:
            self._take(answer)
