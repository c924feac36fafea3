"""The exchange of one round: slices to owners, reduced shards back, everything at most once.

Kept per round under the current term: what arrived, what was sent, what was asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import BuildCandidate, ForgetRounds, Reduce, SendResult, SendSlice
from p2pgan.protocol.events import Reduced, ResultArrived, SliceArrived
from p2pgan.protocol.ids import PeerId, images_in
from p2pgan.protocol.messages import Plan, ResultRequest, SliceRequest

Elements = tuple[int, int]
"""``[start, stop)`` of the vector."""
NOTHING: Elements = (0, 0)
IN_VAIN = 2
"""Asked so often, somebody who does not answer is not reached: the first time was ``resend_s`` before."""
ROUNDS_KEPT = 4
"""Finished rounds whose results are kept for members that missed them."""


@dataclass
class RoundState:
    """What is known of one round."""

    plan: Plan | None = None
    own: tuple[int, ...] = ()
    """The plan's shards that this peer reduces."""
    sent_of: Elements = NOTHING
    """What lies within these elements of this peer's contribution is sent, as the plan says."""
    slices: defaultdict[tuple[int, int], set[PeerId]] = field(default_factory=lambda: defaultdict(set))
    """(first_attempt, shard) -> senders"""
    sent: set[tuple[int, int, PeerId]] = field(default_factory=set)
    """(first_attempt, shard, owner)"""
    reducing: set[tuple[int, int]] = field(default_factory=set)
    """(attempt, shard)"""
    reduced: set[tuple[int, int]] = field(default_factory=set)
    results: set[tuple[int, int, PeerId]] = field(default_factory=set)
    """(attempt, shard, sender): perhaps from before the plan, so that anybody may have sent it."""
    building: set[int] = field(default_factory=set)
    """Attempts whose candidate was asked for."""
    progress_at: float = 0.0
    asked_for_slices: Counter[PeerId] = field(default_factory=Counter)
    """How often each."""
    asked_for_results: Counter[PeerId] = field(default_factory=Counter)
    """How often each, since the round is committed: before, perhaps nothing is reduced yet."""
    asked: int = 0
    """How often a single owner was asked whether it has reduced its shard."""


class Exchange:
    """All rounds of the current term that this peer has heard of."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rounds: dict[int, RoundState] = {}

    def plan_of(self, number: int) -> Plan | None:
        """The newest plan of a round."""
        state = self._rounds.get(number)
        return state.plan if state is not None else None

    def planned(self, plan: Plan) -> bool:
        """Take in a plan; False if one of the same or a higher attempt is known."""
        state = self._state(plan.round)
        if state.plan is not None and plan.attempt <= state.plan.attempt:
            return False
        state.plan, state.sent_of = plan, NOTHING
        state.own = tuple(index for index, shard in enumerate(plan.shards) if shard.owner == self._core.me)
        return True

    def cancel(self, number: int) -> None:
        """This peer takes no part in the round any more."""
        self._state(number).plan = None

    def forget(self, version: int) -> None:
        """Rounds long before ``version`` are over for everyone."""
        for number in [n for n in self._rounds if n <= version - ROUNDS_KEPT]:
            del self._rounds[number]
        self._core.emit(ForgetRounds(version - ROUNDS_KEPT + 1))

    def term_changed(self) -> None:
        """A new leader plans anew."""
        self._rounds.clear()

    def _state(self, number: int) -> RoundState:
        """The round's state, now that something about it has arrived."""
        state = self._rounds.setdefault(number, RoundState())
        state.progress_at = self._core.now
        return state

    # -- going on ----------------------------------------------------------------------------

    def step(self, plan: Plan, trained: bool, early: Elements = NOTHING) -> None:
        """Send, reduce and assemble whatever ``plan`` allows by now.

        Before all is trained, shards that lie within the elements ``early`` of the contribution are sent.
        """
        state = self._rounds[plan.round]
        ready = (0, self._core.config.vector_size) if trained else early
        if ready != state.sent_of:
            state.sent_of = ready
            mine = plan.member(self._core.me)
            if mine is not None and mine.contributes:
                for index, shard in enumerate(plan.shards):
                    if ready[0] <= shard.start and shard.stop <= ready[1]:
                        self._send_slice(plan, state, index)
        for index in state.own:
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
        arrived = len(state.slices[plan.first_attempt, index])
        if key in state.reducing or arrived < len(plan.contributors):
            return
        if self.missing_slices(plan, state, index):
            return
        state.reducing.add(key)
        self._core.emit(
            Reduce(
                term=plan.term,
                round=plan.round,
                attempt=plan.attempt,
                first_attempt=plan.first_attempt,
                index=index,
                shard=plan.shards[index],
                codec=plan.codec,
                weights=tuple((m.peer, images_in(m.spans)) for m in plan.contributors),
            )
        )

    def missing_slices(self, plan: Plan, state: RoundState, index: int) -> list[PeerId]:
        """Contributors whose slice of a shard has not arrived here."""
        here = state.slices[plan.first_attempt, index]
        return [m.peer for m in plan.contributors if m.peer not in here]

    def withheld(self, plan: Plan) -> set[PeerId]:
        """Contributors of whom a slice has not arrived for a shard that this peer owns."""
        state = self._rounds[plan.round]
        return {peer for index in state.own for peer in self.missing_slices(plan, state, index)}

    def asked_in_vain(self, plan: Plan) -> set[PeerId]:
        """Others who sent nothing in this round, though asked ``IN_VAIN`` times for slices or for results.

        Of whom something has arrived, the line is slow, and leads here.
        """
        state = self._rounds[plan.round]
        lacking = set[PeerId]()
        # Asked after every event, and nobody is late in most rounds.
        if late := _often(state.asked_for_slices):
            lacking |= late & self.withheld(plan)
        if late := _often(state.asked_for_results):
            lacking |= late & {owner for _, owner in self._owed(plan, state)}
        if not lacking:
            return lacking
        heard = set[PeerId]().union(*state.slices.values())
        heard |= {sender for attempt, _, sender in state.results if attempt == plan.attempt}
        return lacking - heard - {self._core.me}

    def _build_if_complete(self, plan: Plan, state: RoundState) -> None:
        if len(state.results) < len(plan.shards) or plan.attempt in state.building:
            return
        if not self._owed(plan, state):
            state.building.add(plan.attempt)
            self._core.emit(BuildCandidate(plan.term, plan.round, plan.attempt, plan.shards, plan.codec))

    # -- arrivals ----------------------------------------------------------------------------

    def slice_arrived(self, event: SliceArrived) -> None:
        """A member's slice is in the store; it counts for every attempt since its first one."""
        self._state(event.round).slices[event.first_attempt, event.shard].add(event.sender)

    def result_arrived(self, event: ResultArrived) -> None:
        """A reduced shard is in the store; only its owner's word counts, only for the newest attempt."""
        plan = self.plan_of(event.round)
        if plan is not None:
            foreign = event.shard >= len(plan.shards) or plan.shards[event.shard].owner != event.sender
            if event.attempt < plan.attempt or (event.attempt == plan.attempt and foreign):
                return
        self._state(event.round).results.add((event.attempt, event.shard, event.sender))

    def reduced(self, event: Reduced) -> None:
        """This peer has reduced a shard: its bytes go to every member, this one included."""
        state = self._rounds.get(event.round)
        if state is None or state.plan is None or event.term != state.plan.term:
            return
        state.reduced.add((event.attempt, event.shard))
        if event.attempt == state.plan.attempt:
            for member in state.plan.members:
                self._core.emit(SendResult(member.peer, event.term, event.round, event.attempt, event.shard))

    # -- asking again ------------------------------------------------------------------------

    def ask_again(self, plan: Plan, results_due: bool, committed: bool) -> None:
        """Without progress for ``resend_s``, ask for what is missing."""
        core, state = self._core, self._rounds[plan.round]
        if core.now - state.progress_at < core.config.resend_s:
            return
        state.progress_at = core.now
        state.asked_for_slices.update(self.withheld(plan))
        for index in state.own:
            for peer in self.missing_slices(plan, state, index):
                core.send(peer, SliceRequest(run=core.run, term=plan.term, round=plan.round, shard=index))
        if results_due or state.results:
            self._ask_for_results(plan, state, committed)

    def _ask_for_results(self, plan: Plan, state: RoundState, committed: bool) -> None:
        """Of everyone who owes one, or of a single owner as long as perhaps nobody has reduced anything yet.

        The round waits for its slowest member then, and all members would ask all owners in vain.
        """
        core = self._core
        owed = [(index, owner) for index, owner in self._owed(plan, state) if owner != core.me]
        if owed and len(owed) == sum(shard.owner != core.me for shard in plan.shards):
            owed = [owed[state.asked % len(owed)]]
            state.asked += 1
        if committed:
            state.asked_for_results.update({owner for _, owner in owed})
        for index, owner in owed:
            request = ResultRequest(
                run=core.run, term=plan.term, round=plan.round, attempt=plan.attempt, shard=index
            )
            core.send(owner, request)

    def _owed(self, plan: Plan, state: RoundState) -> list[tuple[int, PeerId]]:
        """Shards whose result has not come from their owners, and these."""
        return [
            (index, shard.owner)
            for index, shard in enumerate(plan.shards)
            if (plan.attempt, index, shard.owner) not in state.results
        ]

    def slice_requested(self, sender: PeerId, plan: Plan, message: SliceRequest) -> None:
        """An owner misses this peer's slice: the next step sends it again."""
        if (plan.term, plan.round) != (message.term, message.round) or message.shard >= len(plan.shards):
            return
        if plan.shards[message.shard].owner == sender:
            state = self._rounds[plan.round]
            state.sent.discard((plan.first_attempt, message.shard, sender))
            state.sent_of = NOTHING

    def result_requested(self, sender: PeerId, message: ResultRequest) -> None:
        """A member misses a shard that this peer has reduced."""
        state = self._rounds.get(message.round)
        if state is None or state.plan is None or state.plan.term != message.term:
            return
        if (message.attempt, message.shard) in state.reduced and state.plan.member(sender) is not None:
            self._core.emit(SendResult(sender, message.term, message.round, message.attempt, message.shard))


def _often(asked: Counter[PeerId]) -> set[PeerId]:
    return {peer for peer, times in asked.items() if times >= IN_VAIN}
