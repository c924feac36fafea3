"""A simulated peer: the real state machine on modelled training, transport and database."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from p2pgan.protocol.effects import (
    AcquireLease,
    Apply,
    BeginSnapshot,
    BuildCandidate,
    ClaimUnits,
    Commit,
    Effect,
    Finish,
    FinishRun,
    ForgetRounds,
    InstallSnapshot,
    LoadFromRendezvous,
    Note,
    ReadLease,
    ReadPeers,
    ReadProgress,
    Reduce,
    ReleaseLease,
    RenewLease,
    RollUp,
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
    CommitDone,
    CommitRefused,
    DatabaseFailed,
    Event,
    FinishDone,
    LeaseAcquired,
    LeaseLost,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
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
from p2pgan.simulation.world import State, World, symbol

TICK_S = 0.25
SNAPSHOTS_KEPT = 4
CHUNKS = 3

SliceKey = tuple[int, int, int, int, PeerId]
ResultKey = tuple[int, int, int, int]
Result = tuple[str, tuple[Contribution, ...]]
"""What a reduced shard holds: the weights it starts from and the contributions in it."""


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
        self.state: State | None = None
        self._snapshots: dict[str, State] = {}
        self._slices: dict[SliceKey, Contribution] = {}
        self._results: dict[ResultKey, Result] = {}
        self._candidates: dict[tuple[int, int, int], State] = {}
        self._contribution: Contribution | None = None
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
                self._training, self._contribution = 0, None
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
        self._training, self._contribution = effect.ticket, None
        self._train_on(effect.ticket, effect.spans, sum(s.images for s in effect.spans))

    def _train_on(self, ticket: int, spans: tuple[Span, ...], images: int) -> None:
        def done() -> None:
            if self.frozen:
                self._later(TICK_S, done)
            elif self._training == ticket:
                self._contribution = Contribution(self.me, spans)
                self._take(TrainingDone(ticket, self.speed))

        self._later(images / self.speed * self.world.random.uniform(0.9, 1.2), done)

    def _apply(self, effect: Apply) -> None:
        record = effect.record
        state = self._candidates.pop((effect.round_term, record.version, effect.attempt))
        self._check_apply(record, state)
        self.state = state
        self._keep(state)
        if not effect.keep_training:
            self._training, self._contribution = 0, None
        self.world.applied.append((self.world.now, self.me, record))

    def _check_apply(self, record: VersionRecord, state: State) -> None:
        """Invariants 2 and 3 where weights change: what is in them is what the record says."""
        if state.digest != record.digest or self.state is None or state.parent != self.state.digest:
            self.world.violated("all or nothing", f"{self.me} applies other weights than {record}")
        if sorted(state.contributions) != sorted(record.contributions):
            self.world.violated("exactly once", f"{self.me}: contributions differ from {record}")

    def _keep(self, state: State) -> None:
        self.world.states[state.digest] = state
        self._snapshots[state.digest] = state
        while len(self._snapshots) > SNAPSHOTS_KEPT:
            del self._snapshots[next(iter(self._snapshots))]

    # -- rounds ------------------------------------------------------------------------------

    def _exchange(self, effect: SendSlice | Reduce | SendResult | BuildCandidate | ForgetRounds) -> None:
        match effect:
            case SendSlice():
                self._send_slice(effect)
            case Reduce():
                self._reduce(effect)
            case SendResult():
                self._send_result(effect)
            case BuildCandidate():
                self._build(effect)
            case ForgetRounds():
                self._slices = {k: v for k, v in self._slices.items() if k[1] >= effect.below}
                self._results = {k: v for k, v in self._results.items() if k[1] >= effect.below}
                self._candidates = {k: v for k, v in self._candidates.items() if k[1] >= effect.below}

    def _send_slice(self, e: SendSlice) -> None:
        assert self._contribution is not None
        key: SliceKey = (e.term, e.round, e.first_attempt, e.index, self.me)
        owner = self if e.shard.owner == self.me else self.neighbours.get(e.shard.owner)
        if owner is None:
            return
        contribution = self._contribution

        def arrive() -> None:
            owner._store_slice(key, contribution)

        if owner is self:
            self._later(0.0, arrive)
        else:
            self.world.deliver(self.me, owner.me, "bulk", arrive)

    def _store_slice(self, key: SliceKey, contribution: Contribution) -> None:
        if self.alive and self.machine.member.accepts(key[0], key[1]):
            self._slices[key] = contribution
            self._take(SliceArrived(key[4], key[0], key[1], key[2], key[3]))

    def _reduce(self, e: Reduce) -> None:
        assert self.state is not None
        slices = []
        for peer, images in e.weights:
            contribution = self._slices[(e.term, e.round, e.first_attempt, e.index, peer)]
            if contribution.images != images:
                self.world.violated("exactly once", f"{peer} weighs {images} for {contribution}")
            slices.append(contribution)
        self._results[(e.term, e.round, e.attempt, e.index)] = (self.state.digest, tuple(slices))
        self._answer(0.001, Reduced(e.term, e.round, e.attempt, e.index))

    def _send_result(self, e: SendResult) -> None:
        key: ResultKey = (e.term, e.round, e.attempt, e.index)
        result = self._results.get(key)
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
            self._results[key] = result
            self._take(ResultArrived(sender, *key))

    def _build(self, e: BuildCandidate) -> None:
        assert self.state is not None
        results = [self._results[(e.term, e.round, e.attempt, i)] for i in range(len(e.shards))]
        base, contributions = results[0]
        if any(r != results[0] for r in results) or base != self.state.digest:
            self.world.violated("all or nothing", f"shards of round {e.round} differ in contributors")
            return
        digest = symbol(base, contributions)
        state = State(e.round, digest, base, contributions)
        self._candidates[(e.term, e.round, e.attempt)] = state
        self._answer(0.002, CandidateReady(e.term, e.round, e.attempt, digest))

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
        state = self.state
        assert state is not None
        config, images = self.world.config, self.machine.core.images
        chunks = tuple(symbol(state.digest, i) for i in range(CHUNKS))
        return SnapshotManifest(state.version, state.digest, config.schema_hash, images, CHUNKS, chunks)

    def _send_chunk(self, e: SendChunk) -> None:
        if e.digest in self._snapshots:
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
            self.state = state
            self._keep(state)
            self._training, self._contribution = 0, None
            self._take(SnapshotInstalled(manifest, ledger))

        self._later(0.01, install)

    # -- the database ------------------------------------------------------------------------

    def _database(self, effect: Effect) -> None:
        """The request travels, is executed at the database, and the answer travels back."""
        world = self.world
        if isinstance(effect, Commit):
            self._later(world.random.uniform(0.05, 0.4), lambda: self._ask(effect))  # staging
        else:
            self._ask(effect)

    def _ask(self, effect: Effect) -> None:
        world = self.world
        life = self._life

        def execute() -> None:
            reachable = world.database_up and (self.me, "db") not in world.cut
            answer = self._execute(effect) if reachable else DatabaseFailed(type(effect).__name__)
            delay = world.random.uniform(0.001, 0.02) if reachable else world.random.uniform(0.1, 3.0)
            if answer is not None and self._life == life:
                self._answer(delay, answer)

        world.after(world.random.uniform(0.001, 0.02), execute)

    def _execute(self, effect: Effect) -> Event | None:
        world, db, config, me = self.world, self.world.rendezvous, self.world.config, self.me
        match effect:
            case ReadLease():
                return db.read_lease(world.now)
            case AcquireLease():
                term = db.acquire(me, config.ttl_s, world.now)
                return LeaseRefused() if term is None else LeaseAcquired(term)
            case RenewLease(term):
                renewed = db.renew(me, term, config.ttl_s, world.now)
                return LeaseRenewed(term, db.generation) if renewed else LeaseLost(term)
            case ReleaseLease(term, successor):
                released = db.release(me, term, successor, world.now)
                return LeaseReleased(term) if released else LeaseLost(term)
            case ReadPeers():
                if me not in db.peers:
                    db.register(me, world.now)
                return db.read_peers(world.now)
            case ReadProgress():
                return db.progress(config.images)
            case Commit(term, records):
                refused = db.commit(me, term, records)
                return CommitDone(records[-1].version) if refused is None else CommitRefused(term, refused)
            case FinishRun(term):
                return FinishDone() if db.finish(me, term) else LeaseLost(term)
            case RollUp(term, stats):
                db.roll_up(me, term, tuple(s.peer for s in stats if s.alive), world.now)
                return None
            case LoadFromRendezvous():
                self._load_committed()
                return None
            case ClaimUnits():
                return None
            case _:
                raise AssertionError(f"no model for {effect}")

    def _load_committed(self) -> None:
        db = self.world.rendezvous
        images = db.history[-1].images if db.history else 0
        schema = self.world.config.schema_hash
        manifest = SnapshotManifest(db.version, db.digest, schema, images, CHUNKS, ("",) * CHUNKS)
        self._install(self.world.states[db.digest], manifest, ())
