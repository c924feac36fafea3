"""A member's part in rounds: train, exchange, reduce what it owns, verify, apply.

::

    IDLE --Plan--> TRAINING --TrainingDone--> EXCHANGING --all results--> VERIFIED --committed--> IDLE

A plan of a higher attempt replaces a lower one; what was trained stands as long as the plan hands
this peer the same spans on the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import (
    Apply,
    BuildCandidate,
    ForgetRounds,
    Reduce,
    SendResult,
    SendSlice,
    StopTraining,
    Train,
)
from p2pgan.protocol.events import CandidateReady, Reduced, ResultArrived, SliceArrived, TrainingDone
from p2pgan.protocol.ids import Contribution, PeerId, Span, VersionRecord, images_in
from p2pgan.protocol.messages import Phase, Plan, ResultRequest, RoundCommitted, SliceRequest

ROUNDS_AHEAD = 64
"""Rounds beyond its version that a catching-up peer stores."""
ROUNDS_KEPT = 4
"""Finished rounds whose results are kept for members that missed them."""


@dataclass
class RoundState:
    """What arrived for one round under the current term."""

    plan: Plan | None = None
    slices: set[tuple[int, int, PeerId]] = field(default_factory=set)
    """(first_attempt, shard, sender)"""
    sent: set[tuple[int, int, PeerId]] = field(default_factory=set)
    """(first_attempt, shard, owner)"""
    reducing: set[tuple[int, int]] = field(default_factory=set)
    """(attempt, shard)"""
    reduced: set[tuple[int, int]] = field(default_factory=set)
    results: set[tuple[int, int]] = field(default_factory=set)
    building: set[int] = field(default_factory=set)
    """Attempts whose candidate was asked for."""
    progress_at: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """What this peer would have after a round; outlives a change of leader."""

    plan: Plan
    leader: PeerId
    digest: str

    def record(self, images_before: int) -> VersionRecord:
        """The version this candidate becomes if the round is committed."""
        plan = self.plan
        contributions = tuple(Contribution(m.peer, m.spans) for m in plan.contributors)
        return VersionRecord(
            version=plan.round,
            digest=self.digest,
            parent_digest=plan.base_digest,
            term=plan.term,
            attempt=plan.attempt,
            leader=self.leader,
            images=images_before + sum(c.images for c in contributions),
            contributions=contributions,
        )


class Member:
    """One peer's participation in the rounds its leader plans."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rounds: dict[int, RoundState] = {}
        self._pending: dict[int, VersionRecord] = {}
        self.candidate: Candidate | None = None
        self.held: tuple[Span, ...] = ()
        self.trained = False
        self.images_per_s = 0.0
        self.ticket = 0
        """Names the training that counts; results of others come too late."""

    # -- what others see ---------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        """The plan on the current weights, if there is one."""
        state = self._rounds.get(self._core.version + 1)
        plan = state.plan if state else None
        return plan if plan is not None and plan.base_digest == self._core.digest else None

    @property
    def voted(self) -> Candidate | None:
        """The candidate for the current plan's attempt."""
        plan, candidate = self.plan, self.candidate
        return candidate if candidate is not None and candidate.plan == plan else None

    @property
    def phase(self) -> Phase:
        if self.voted is not None:
            return Phase.VERIFIED
        if self.held and not self.trained:
            return Phase.TRAINING
        return Phase.EXCHANGING if self.plan is not None else Phase.IDLE

    @property
    def exchanging(self) -> bool:
        """Others may wait for this peer's slices or shards."""
        return self.plan is not None and self.trained

    def accepts(self, term: int, round_number: int) -> bool:
        """Whether bulk data of that round may be stored: bounds what a peer can make us keep."""
        return term == self._core.term and self._is_ahead(round_number)

    def _is_ahead(self, number: int) -> bool:
        """Within what follows on the current weights, or on those being fetched."""
        core = self._core
        base = core.version if core.fetching is None else core.fetching
        return base < number <= base + ROUNDS_AHEAD

    # -- plans -------------------------------------------------------------------------------

    def planned(self, plan: Plan) -> None:
        """A plan of the current leader."""
        if not self.accepts(plan.term, plan.round) or plan.member(self._core.me) is None:
            if self.accepts(plan.term, plan.round):
                self._left_out(plan)
            return
        state = self._rounds.setdefault(plan.round, RoundState())
        if state.plan is not None and plan.attempt <= state.plan.attempt:
            return
        state.plan = plan
        state.progress_at = self._core.now
        self._activate()

    def _left_out(self, plan: Plan) -> None:
        """The leader took this peer for gone: what it holds belongs to others now."""
        state = self._rounds.get(plan.round)
        if state is not None and state.plan is not None and plan.attempt > state.plan.attempt:
            state.plan = None
            if plan.round == self._core.version + 1:
                self.drop_training("left out of round: " + plan.reason)

    def _activate(self) -> None:
        """Take up the plan on the current weights, if there is one."""
        plan = self.plan
        if plan is None:
            return
        mine = plan.member(self._core.me)
        assert mine is not None
        if mine.spans != self.held:
            self._train(mine.spans)
        self._exchange()

    def _train(self, spans: tuple[Span, ...]) -> None:
        self.held, self.trained = spans, False
        if spans:
            self.ticket += 1
            self._core.emit(Train(self.ticket, spans))
        else:
            self._core.emit(StopTraining())

    def drop_training(self, reason: str) -> None:
        """Forget unaveraged training; its spans are somebody else's."""
        if self.held:
            self._core.note("training", f"dropped {len(self.held)} spans: {reason}")
            self._train(())

    def training_done(self, event: TrainingDone) -> None:
        self.images_per_s = event.images_per_s
        if event.ticket == self.ticket and self.held:
            self.trained = True
            self._exchange()

    # -- exchange ----------------------------------------------------------------------------

    def _exchange(self) -> None:
        """Send, reduce and assemble whatever the current plan allows by now."""
        plan = self.plan
        if plan is None:
            return
        mine = plan.member(self._core.me)
        state = self._rounds[plan.round]
        if mine is not None and mine.contributes and self.trained:
            for index in range(len(plan.shards)):
                self._send_slice(plan, state, index)
        for index, shard in enumerate(plan.shards):
            if shard.owner == self._core.me:
                self._reduce_if_complete(plan, state, index)
        self._build_if_complete(plan, state)

    def _send_slice(self, plan: Plan, state: RoundState, index: int) -> None:
        shard = plan.shards[index]
        key = (plan.first_attempt, index, shard.owner)
        if key not in state.sent:
            state.sent.add(key)
            self._core.emit(SendSlice(plan.term, plan.round, plan.first_attempt, index, shard, plan.codec))

    def _reduce_if_complete(self, plan: Plan, state: RoundState, index: int) -> None:
        key = (plan.attempt, index)
        if key in state.reducing or self._missing_slices(plan, state, index):
            return
        state.reducing.add(key)
        weights = tuple((m.peer, images_in(m.spans)) for m in plan.contributors)
        self._core.emit(
            Reduce(
                plan.term, plan.round, plan.attempt, plan.first_attempt, index, plan.shards[index],
                plan.codec, weights,
            )
        )  # fmt: skip

    def _missing_slices(self, plan: Plan, state: RoundState, index: int) -> list[PeerId]:
        return [m.peer for m in plan.contributors if (plan.first_attempt, index, m.peer) not in state.slices]

    def _build_if_complete(self, plan: Plan, state: RoundState) -> None:
        complete = all((plan.attempt, index) in state.results for index in range(len(plan.shards)))
        if complete and plan.attempt not in state.building:
            state.building.add(plan.attempt)
            self._core.emit(BuildCandidate(plan.term, plan.round, plan.attempt, plan.shards, plan.codec))

    def slice_arrived(self, event: SliceArrived) -> None:
        if self.accepts(event.term, event.round):
            state = self._rounds.setdefault(event.round, RoundState())
            state.slices.add((event.first_attempt, event.shard, event.sender))
            state.progress_at = self._core.now
            self._exchange()

    def reduced(self, event: Reduced) -> None:
        state = self._rounds.get(event.round)
        if state is None or state.plan is None or event.term != state.plan.term:
            return
        state.reduced.add((event.attempt, event.shard))
        if event.attempt == state.plan.attempt:
            for member in state.plan.members:
                self._core.emit(SendResult(member.peer, event.term, event.round, event.attempt, event.shard))

    def result_arrived(self, event: ResultArrived) -> None:
        if not self.accepts(event.term, event.round):
            return
        state = self._rounds.setdefault(event.round, RoundState())
        plan = state.plan
        if plan is not None and event.attempt == plan.attempt:
            if event.shard >= len(plan.shards) or plan.shards[event.shard].owner != event.sender:
                return
        elif plan is not None and event.attempt < plan.attempt:
            return
        state.results.add((event.attempt, event.shard))
        state.progress_at = self._core.now
        self._exchange()

    # -- the end of a round ------------------------------------------------------------------

    def candidate_ready(self, event: CandidateReady) -> None:
        plan, leader = self.plan, self._core.leader
        if plan is None or leader is None:
            return
        if (plan.term, plan.round, plan.attempt) == (event.term, event.round, event.attempt):
            self.candidate = Candidate(plan, leader, event.digest)
            self._apply_pending()

    def committed(self, message: RoundCommitted) -> None:
        """The leader says what the version after the current one is (or one further ahead)."""
        record = message.record
        if self._is_ahead(record.version):
            self._pending[record.version] = record
            self._apply_pending()

    def _apply_pending(self) -> None:
        record = self._pending.get(self._core.version + 1)
        candidate = self.candidate
        if record is not None and candidate is not None and self.fits(candidate, record):
            self.apply(record)

    def fits(self, candidate: Candidate, record: VersionRecord) -> bool:
        """Whether applying ``candidate`` to the current weights gives the version of ``record``."""
        base, core = candidate.plan.base_digest, self._core
        return (base, base, candidate.digest) == (core.digest, record.parent_digest, record.digest)

    def apply(self, record: VersionRecord) -> None:
        """Make the candidate the current weights; ``record`` has its digest."""
        core, candidate = self._core, self.candidate
        assert candidate is not None and self.fits(candidate, record)
        included = any(c.peer == core.me for c in record.contributions)
        keep = bool(self.held) and not included
        core.emit(Apply(record, candidate.plan.term, candidate.plan.attempt, keep))
        if not keep:
            self.held, self.trained = (), False
            self.ticket += 1
        core.advance(record)
        self._after_new_weights()

    def installed(self) -> None:
        """A snapshot replaced the weights; unaveraged training went with the old ones."""
        self.held, self.trained = (), False
        self.ticket += 1
        self._after_new_weights()

    def _after_new_weights(self) -> None:
        version = self._core.version
        self.candidate = None
        for number in [n for n in self._rounds if n <= version - ROUNDS_KEPT]:
            del self._rounds[number]
        for number in [n for n in self._pending if n <= version]:
            del self._pending[number]
        self._core.emit(ForgetRounds(version - ROUNDS_KEPT + 1))
        self._activate()

    def term_changed(self) -> None:
        """A new leader plans anew: only trained spans and the candidate outlive a term."""
        self._rounds.clear()
        self._pending.clear()

    # -- asking again ------------------------------------------------------------------------

    def tick(self) -> None:
        """Without progress, ask for what is missing."""
        core, plan = self._core, self.plan
        if plan is None or self.phase is Phase.VERIFIED:
            return
        state = self._rounds[plan.round]
        if core.now - state.progress_at < core.config.resend_s:
            return
        state.progress_at = core.now
        for index, shard in enumerate(plan.shards):
            if shard.owner == core.me:
                for peer in self._missing_slices(plan, state, index):
                    core.send(peer, SliceRequest(run=core.run, term=plan.term, round=plan.round, shard=index))
            elif (plan.attempt, index) not in state.results and self._results_due(plan, state):
                core.send(
                    shard.owner,
                    ResultRequest(
                        run=core.run, term=plan.term, round=plan.round, attempt=plan.attempt, shard=index
                    ),
                )

    def _results_due(self, plan: Plan, state: RoundState) -> bool:
        """Others train as long as this peer does: nothing is overdue before it is done itself."""
        return self.trained or not self.held or bool(state.results) or plan.round in self._pending

    def slice_requested(self, sender: PeerId, message: SliceRequest) -> None:
        plan = self.plan
        if plan is None or (plan.term, plan.round) != (message.term, message.round):
            return
        if message.shard < len(plan.shards) and plan.shards[message.shard].owner == sender:
            state = self._rounds[plan.round]
            state.sent.discard((plan.first_attempt, message.shard, sender))
            self._exchange()

    def result_requested(self, sender: PeerId, message: ResultRequest) -> None:
        state = self._rounds.get(message.round)
        if state is None or state.plan is None or state.plan.term != message.term:
            return
        if (message.attempt, message.shard) in state.reduced and state.plan.member(sender) is not None:
            self._core.emit(SendResult(sender, message.term, message.round, message.attempt, message.shard))
