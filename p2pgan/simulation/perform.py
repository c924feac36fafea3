"""What becomes of a simulated peer's effects: modelled training, and calls to the modelled database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pgan.protocol.effects import (
    Apply,
    BeginSnapshot,
    BuildCandidate,
    Commit,
    Effect,
    ForgetRounds,
    InstallSnapshot,
    Kept,
    LoadFromRendezvous,
    Mix,
    Reduce,
    Send,
    SendChunk,
    SendResult,
    SendSlice,
    SendWelcome,
    ShareDeviation,
    StopTraining,
    Train,
    TrainAhead,
)
from p2pgan.protocol.events import (
    CandidateReady,
    CommitDone,
    DatabaseFailed,
    Event,
    PartTrained,
    Reduced,
    ReduceRejected,
    TrainingDone,
)
from p2pgan.protocol.ids import Contribution, Span, images_in
from p2pgan.protocol.messages import Plan, RoundCommitted
from p2pgan.simulation.database import execute_at_database
from p2pgan.simulation.scenario import Point
from p2pgan.simulation.transfers import Transfers
from p2pgan.simulation.world import State

if TYPE_CHECKING:
    from p2pgan.simulation.peer import SimulatedPeer

FROZEN_S = 0.25
"""What a frozen machine would have done is tried again after this."""
EARLY = 0.6
"""Share of the training after which a part of the contribution is what it will be."""
LOST_ANSWERS = 0.01
"""Share of executed calls whose answer does not arrive: the caller cannot know that they took effect."""


class Performer:
    """Performs the effects of one life of a peer."""

    def __init__(self, peer: SimulatedPeer) -> None:
        self._peer = peer
        self.transfers = Transfers(peer)
        self.training = 0
        """Ticket of the training that counts."""
        self.ahead = 0
        """Ticket of the training on top of it."""

    def perform(self, effect: Effect) -> None:
        vectors = self._peer.vectors
        match effect:
            case Send():
                self._send(effect)
            case Train():
                self.drop_training()
                self.training, vectors.begun_at = effect.ticket, vectors.base().digest
                self._train(effect.ticket, effect.spans)
            case TrainAhead():
                self.ahead, vectors.contribution_ahead = effect.ticket, None
                self._train(effect.ticket, effect.spans)
            case StopTraining():
                self.drop_training()
            case Apply():
                self._apply(effect)
            case Reduce():
                rejected = vectors.reduce(effect)
                key = (effect.term, effect.round, effect.attempt, effect.index)
                bad = None if rejected is None else ReduceRejected(*key, rejected, "not valid")
                self._peer.answer(0.001, bad or Reduced(*key))
            case BuildCandidate():
                digest = vectors.build(effect)
                ready = CandidateReady(effect.term, effect.round, effect.attempt, digest)
                self._peer.answer(0.002, ready)
            case ForgetRounds():
                vectors.forget(effect.below)
            case SendSlice() | SendResult() | SendWelcome() | SendChunk():
                self.transfers.send(effect)
            case ShareDeviation():
                self.transfers.share(effect)
            case Mix():
                # It moves what no version has. Symbols stand for versions and contributions alone.
                pass
            case BeginSnapshot() | InstallSnapshot():
                self.transfers.receive(effect)
            case _:
                self._database(effect)

    def _send(self, effect: Send) -> None:
        self.transfers.message(effect.to, effect.message)
        if isinstance(effect.message, Plan):
            self._peer.comes_to(Point.PLAN)
        elif isinstance(effect.message, RoundCommitted):
            self._peer.comes_to(Point.ANNOUNCEMENT)

    # -- training ----------------------------------------------------------------------------

    def drop_training(self) -> None:
        """What was trained does not count."""
        self.training = self.ahead = 0
        self._peer.vectors.drop_training()

    def _train(self, ticket: int, spans: tuple[Span, ...]) -> None:
        peer = self._peer

        def part_done() -> None:
            config = peer.world.config
            if peer.frozen:
                peer.later(FROZEN_S, part_done)
            elif self.training == ticket and peer.vectors.contribution is None:
                peer.vectors.partial = Contribution(peer.me, spans)
                peer.vectors.partial_from = config.vector_border
                peer.take(PartTrained(ticket, config.vector_border, config.vector_size))

        def done() -> None:
            if peer.frozen:
                peer.later(FROZEN_S, done)
            elif self.training == ticket:
                peer.vectors.contribution = Contribution(peer.me, spans)
                peer.take(TrainingDone(ticket, peer.images_per_s))
            elif self.ahead == ticket:
                peer.vectors.contribution_ahead = Contribution(peer.me, spans)
                peer.take(TrainingDone(ticket, peer.images_per_s))

        seconds = images_in(spans) / peer.images_per_s * peer.world.random.uniform(0.9, 1.2)
        if peer.world.config.vector_border:
            peer.later(seconds * EARLY, part_done)
        peer.later(seconds, done)

    def _apply(self, effect: Apply) -> None:
        self._peer.vectors.apply(effect)
        if effect.kept is Kept.AHEAD:
            self.training, self.ahead = self.ahead, 0
        elif effect.kept is Kept.NOTHING:
            self.drop_training()
        self._peer.world.applied(self._peer.me, effect.record)

    # -- the database ------------------------------------------------------------------------

    def _database(self, effect: Effect) -> None:
        """The request travels, is executed at the database, and the answer travels back."""
        if not isinstance(effect, Commit):
            self._ask(effect)
            return
        # What is committed is the weights of this moment, even if others replace them meanwhile.
        snapshot = self._peer.vectors.base()

        def staged() -> None:
            self._peer.comes_to(Point.STAGING)
            if self._peer.alive:
                self._ask(effect, snapshot)

        self._peer.later(self._peer.world.random.uniform(0.05, 0.4), staged)

    def _ask(self, effect: Effect, snapshot: State | None = None) -> None:
        """Once sent, a request is executed even if its sender crashes; the answer may get lost."""
        world = self._peer.world
        respond = self._peer.in_this_life

        def execute() -> None:
            if not world.reaches_database(self._peer.me):
                answer: Event | None = DatabaseFailed(type(effect).__name__)
                delay = world.random.uniform(0.1, 3.0)
            else:
                answer = execute_at_database(world, self._peer.me, effect)
                delay = world.random.uniform(0.001, 0.02)
                if world.random.random() < LOST_ANSWERS:
                    answer = DatabaseFailed(type(effect).__name__)
                if isinstance(effect, Commit):
                    self._peer.comes_to(Point.COMMIT)
            world.after(delay, respond(lambda: self._answered(effect, answer, snapshot)))

        world.after(world.random.uniform(0.001, 0.02), execute)

    def _answered(self, effect: Effect, answer: Event | None, snapshot: State | None) -> None:
        peer = self._peer
        match effect, answer:
            case LoadFromRendezvous(), None:
                db = peer.world.rendezvous
                state = peer.world.states[db.digest]
                self.transfers.install(state, self.transfers.manifest(state, db.images), ())
            case Commit(), DatabaseFailed() if snapshot is not None:
                peer.outbox = (effect.records, snapshot)
                peer.take(answer)
            case Commit(), CommitDone():
                peer.outbox = None
                peer.world.invariants.acknowledged(effect.records[-1])
                peer.take(answer)
            case _, None:
                pass
            case _:
                peer.take(answer)
