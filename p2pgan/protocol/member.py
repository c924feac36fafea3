"""A member's part in rounds: train what the plan says, verify the outcome, apply it.

::

    IDLE --Plan--> TRAINING --TrainingDone--> EXCHANGING --all results--> VERIFIED --committed--> IDLE

While a round is exchanged the training goes on with what the plan says is ahead; once the round is
committed, that is what this peer holds for the next one.

A plan of a higher attempt replaces a lower one; what was trained stands as long as the plan hands
this peer the same spans on the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import structs

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import Apply, Kept, StopTraining, Train, TrainAhead
from p2pgan.protocol.events import (
    CandidateReady,
    PartTrained,
    Reduced,
    ResultArrived,
    SliceArrived,
    TrainingDone,
)
from p2pgan.protocol.exchange import NOTHING, Exchange
from p2pgan.protocol.ids import Contribution, PeerId, Span, VersionRecord
from p2pgan.protocol.messages import Phase, Plan, ResultRequest, RoundCommitted, SliceRequest
from p2pgan.protocol.metrics import Losses, Traffic
from p2pgan.protocol.texts import counted

ROUNDS_AHEAD = 64
"""Rounds beyond its version that a catching-up peer stores."""


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
        self._exchange = Exchange(core)
        self._pending: dict[int, VersionRecord] = {}
        self.candidate: Candidate | None = None
        self.held: tuple[Span, ...] = ()
        self.trained = False
        self._early = NOTHING
        """Which elements of the contribution can be sent while ``held`` is still trained."""
        self.ahead: tuple[Span, ...] = ()
        """What is trained on top of ``held``, or will be."""
        self._ahead_done: TrainingDone | None = None
        self.images_per_s = 0.0
        self.losses: Losses | None = None
        """What the last training that is done showed."""
        self.traffic: Traffic | None = None
        """Bytes that it took from the vote before to the last one."""
        self.ticket = 0
        """Names the training of ``held``; results of others come too late."""
        self.ahead_ticket = 0
        """Names that of ``ahead``; 0 if it has not begun."""
        self._tickets = 0

    # -- what others see ---------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        """The plan on the current weights, if there is one."""
        plan = self._exchange.plan_of(self._core.version + 1)
        return plan if plan is not None and plan.base_digest == self._core.digest else None

    @property
    def voted(self) -> Candidate | None:
        """The candidate for the current plan's attempt."""
        return self.standing()[1]

    def standing(self) -> tuple[Plan | None, Candidate | None, Phase]:
        """``plan``, ``voted``, and how far this peer is."""
        plan, candidate = self.plan, self.candidate
        if candidate is not None and (candidate.plan is plan or candidate.plan == plan):
            return plan, candidate, Phase.VERIFIED
        if self.held and not self.trained:
            return plan, None, Phase.TRAINING
        return plan, None, Phase.IDLE if plan is None else Phase.EXCHANGING

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
        if not self.accepts(plan.term, plan.round):
            return
        if plan.member(self._core.me) is None:
            self._left_out(plan)
        elif self._exchange.planned(plan):
            self._activate()

    def _left_out(self, plan: Plan) -> None:
        """The leader took this peer for gone: what it holds belongs to others now."""
        known = self._exchange.plan_of(plan.round)
        if known is not None and plan.attempt > known.attempt:
            self._exchange.cancel(plan.round)
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
        if mine.ahead != self.ahead:
            self._set_ahead(mine.ahead)
        self._begin_ahead()
        self._go_on()

    def _go_on(self) -> None:
        plan = self.plan
        if plan is not None:
            self._exchange.step(plan, self.trained, self._early)

    def _train(self, spans: tuple[Span, ...]) -> None:
        self._hold(spans)
        self._core.emit(Train(self.ticket, spans) if spans else StopTraining())

    def _hold(self, spans: tuple[Span, ...]) -> None:
        """These are to be trained, and nothing that was trained counts."""
        self.held, self.trained, self.ticket = spans, False, self._new_ticket()
        self._early = NOTHING
        self._set_ahead(())

    def _set_ahead(self, spans: tuple[Span, ...]) -> None:
        self.ahead, self.ahead_ticket, self._ahead_done = spans, 0, None

    def _begin_ahead(self) -> None:
        """Once what is held is trained, the training goes on."""
        if self.trained and self.ahead and not self.ahead_ticket:
            self.ahead_ticket = self._new_ticket()
            self._core.emit(TrainAhead(self.ahead_ticket, self.ahead))

    def _new_ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def drop_training(self, reason: str) -> None:
        """Forget unaveraged training; its spans are somebody else's."""
        if self.held:
            self._core.note("training", f"dropped {counted(len(self.held), 'span')}: {reason}")
            self._train(())

    def part_trained(self, event: PartTrained) -> None:
        """The exchange of one network's part begins while the other's is computed."""
        if event.ticket == self.ticket and self.held:
            self._early = (event.start, event.stop)
            self._go_on()

    def training_done(self, event: TrainingDone) -> None:
        self.images_per_s = event.images_per_s
        if event.ticket == self.ticket and self.held:
            self.trained, self.losses = True, event.losses
            # First: the training waits for nothing.
            self._begin_ahead()
            self._go_on()
        elif event.ticket == self.ahead_ticket:
            self._ahead_done = event

    # -- exchange ----------------------------------------------------------------------------

    def slice_arrived(self, event: SliceArrived) -> None:
        if self.accepts(event.term, event.round):
            self._exchange.slice_arrived(event)
            self._go_on()

    def reduced(self, event: Reduced) -> None:
        self._exchange.reduced(event)

    def result_arrived(self, event: ResultArrived) -> None:
        if self.accepts(event.term, event.round):
            self._exchange.result_arrived(event)
            self._go_on()

    def withheld(self) -> set[PeerId]:
        """Contributors for whose slices this peer waits as an owner."""
        return self._exchange.withheld(self.plan) if self.plan is not None else set()

    def asked_in_vain(self) -> set[PeerId]:
        """Others who send nothing of what the round under way, or the next one to follow, needs of them."""
        return self._exchange.asked_in_vain(self.plan) if self.plan is not None else set()

    def slice_requested(self, sender: PeerId, message: SliceRequest) -> None:
        plan = self.plan
        if plan is not None:
            self._exchange.slice_requested(sender, plan, message)
            self._go_on()

    def result_requested(self, sender: PeerId, message: ResultRequest) -> None:
        self._exchange.result_requested(sender, message)

    def tick(self) -> None:
        """Ask again for what is overdue; others train as long as this peer does."""
        plan = self.plan
        if plan is not None and self.voted is None:
            results_due = self.trained or not self.held or plan.round in self._pending
            self._exchange.ask_again(plan, results_due, committed=plan.round in self._pending)

    # -- the end of a round ------------------------------------------------------------------

    def candidate_ready(self, event: CandidateReady) -> None:
        plan, leader = self.plan, self._core.leader
        if plan is None or leader is None:
            return
        if (plan.term, plan.round, plan.attempt) == (event.term, event.round, event.attempt):
            self.candidate = Candidate(plan, leader, event.digest)
            self.traffic = event.traffic
            if self.losses is not None and event.agreement is not None:
                self.losses = structs.replace(self.losses, agreement=event.agreement)
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
        kept = self._kept(record)
        core.emit(Apply(record, candidate.plan.term, candidate.plan.attempt, kept))
        if kept is Kept.AHEAD:
            self._promote()
        elif kept is Kept.NOTHING:
            self._hold(())
        core.advance(record)
        self._after_new_weights()

    def _kept(self, record: VersionRecord) -> Kept:
        """How much of this peer's training outlives ``record``."""
        if not self.held or not self._core.config.overlaps:
            return Kept.NOTHING
        counted = record.spans_of(self._core.me)
        if counted is None:
            return Kept.ALL
        return Kept.AHEAD if counted == self.held and self.ahead_ticket else Kept.NOTHING

    def _promote(self) -> None:
        """What was ahead is what this peer holds now."""
        done = self._ahead_done
        self.held, self.ticket, self.trained = self.ahead, self.ahead_ticket, done is not None
        if done is not None:
            self.losses = done.losses
        self._set_ahead(())

    def installed(self) -> None:
        """A snapshot replaced the weights; unaveraged training went with the old ones."""
        self._hold(())
        self._after_new_weights()

    def _after_new_weights(self) -> None:
        version = self._core.version
        self.candidate = None
        for number in [n for n in self._pending if n <= version]:
            del self._pending[number]
        self._exchange.forget(version)
        self._activate()

    def term_changed(self) -> None:
        """A new leader plans anew: only trained spans and the candidate outlive a term."""
        self._exchange.term_changed()
        self._pending.clear()
