"""The leader's side of rounds: announce, watch, amend, decide.

::

    ANNOUNCED -> TRAINING -> EXCHANGING -> VERIFIED -> COMMITTED | ABORTED

A round is amended (attempt + 1) when a member falls silent or is too slow; it is committed when all
its contributors and the leader report the same digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from p2pgan.protocol.core import Core
from p2pgan.protocol.events import ProgressRead
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.member import Member as MyPart
from p2pgan.protocol.messages import Heartbeat, Phase, Plan, RoundCommitted
from p2pgan.protocol.metrics import PeerMetric, RoundMetric
from p2pgan.protocol.plans import Amendment, Planner
from p2pgan.protocol.shares import straggler_deadline
from p2pgan.protocol.texts import counted

TELL_S = 0.5
"""Between two rounds of which the log tells, where nothing is special about them: a step is one."""
LOOK_S = 0.1
"""Between two looks at who is silent or late."""


@dataclass
class Watch:
    """What the leader has seen of the round under way."""

    plan: Plan
    planned_at: float
    """When the work was handed out."""
    announced_at: float
    """When this attempt was."""
    trained: dict[PeerId, float] = field(default_factory=dict)
    """Seconds after the plan."""
    votes: dict[PeerId, str] = field(default_factory=dict)
    exchange_since: float | None = None
    looked_at: float = -inf
    """When the members were last looked over."""
    rearranged: int = 0
    """How often the leader took over all shards."""


class Conductor:
    """Conducts one round after the other while this peer leads."""

    def __init__(self, core: Core, mine: MyPart) -> None:
        self._core, self._mine = core, mine
        self.planner = Planner(core, mine)
        self.watch: Watch | None = None
        self._reached: set[PeerId] = set()
        self._told_at: dict[str, float] = {}

    def begin(self, progress: ProgressRead) -> None:
        """A term begins. Whom the last leader's word did not reach in time hears it again."""
        self.planner.begin(progress)
        self.watch = None
        self._reached = set()
        for peer in self._core.alive():
            beat = self._core.peers[peer].beat
            if beat is not None and beat.term == self._core.term:
                self._resend_record(peer, beat)

    def plan_next(self) -> None:
        """Announce the next round to everyone who can take part."""
        if self.watch is None and (plan := self.planner.next_plan()) is not None:
            self._announce(Watch(plan, self._core.now, self._core.now), frozenset())

    def _announce(self, watch: Watch, also_to: frozenset[PeerId]) -> None:
        core, plan = self._core, watch.plan
        self.watch = watch
        self._tell("plan", f"round {plan.round} attempt {plan.attempt}: {plan.reason}", plan.attempt > 1)
        for peer in sorted({m.peer for m in plan.members} | also_to):
            core.send(peer, plan)
        self._mine.planned(plan)

    def _tell(self, what: str, text: str, special: bool) -> None:
        now = self._core.now
        if special or now - self._told_at.get(what, -inf) >= TELL_S:
            self._told_at[what] = now
            self._core.note("round", text)

    # -- watching ----------------------------------------------------------------------------

    def spans_of(self, peer: PeerId) -> int:
        """How many spans a peer has in hand in the round under way."""
        member = None if self.watch is None else self.watch.plan.member(peer)
        return 0 if member is None else len(member.spans)

    def reaches(self, peer: PeerId) -> bool:
        """Whether a peer has answered a plan of this term: what is sent to it arrives."""
        return peer in self._reached

    def heartbeat(self, sender: PeerId, beat: Heartbeat) -> None:
        """Progress of a member; also mends what it missed."""
        watch = self.watch
        if beat.round:
            self._reached.add(sender)
        if beat.asked_in_vain and beat.round <= self._core.version:
            self.planner.apart.seen({sender: beat.asked_in_vain})
        if watch is not None:
            self._see(watch, sender, beat.round, beat.attempt, beat.phase, beat.candidate)
            plan = watch.plan
            behind = (beat.round, beat.attempt) != (plan.round, plan.attempt)
            had_time = self._core.now - watch.announced_at > self._core.config.resend_s
            if behind and had_time and plan.member(sender) is not None:
                self._core.send(sender, plan)
        self._resend_record(sender, beat)

    def _see(
        self, watch: Watch, peer: PeerId, round_number: int, attempt: int, phase: Phase, candidate: str
    ) -> None:
        plan = watch.plan
        if round_number != plan.round or attempt < plan.first_attempt:
            return
        member = plan.member(peer)
        if member is None:
            return
        if phase in (Phase.EXCHANGING, Phase.VERIFIED) and member.contributes and peer not in watch.trained:
            watch.trained[peer] = max(1e-3, self._core.now - watch.planned_at)
            self.planner.pace.trained(member, watch.planned_at)
        if phase == Phase.VERIFIED and attempt == plan.attempt and candidate:
            watch.votes[peer] = candidate

    def _resend_record(self, sender: PeerId, beat: Heartbeat) -> None:
        core = self._core
        record = core.record_of(beat.version + 1)
        if beat.version < core.version and record is not None and record.parent_digest == beat.digest:
            core.send(sender, RoundCommitted(run=core.run, term=core.term, record=record))

    def watch_myself(self) -> None:
        """The leader's own part counts like any member's."""
        plan, voted, phase = self._mine.standing()
        if self.watch is not None and plan is not None:
            digest = voted.digest if voted else ""
            self._see(self.watch, self._core.me, plan.round, plan.attempt, phase, digest)

    def tick(self) -> None:
        """Amend, decide, or plan."""
        self.watch_myself()
        watch = self.watch
        if watch is None:
            self.plan_next()
            return
        if not self._look_over(watch):
            self._decide(watch)

    def _look_over(self, watch: Watch) -> bool:
        """Amend the round if time says so; looking at everyone is not for every single event."""
        now = self._core.now
        if now - watch.looked_at < LOOK_S:
            return False
        watch.looked_at = now
        return (
            self._drop_silent(watch)
            or self._drop_lost(watch)
            or self._pass_over_stragglers(watch)
            or self._rearrange(watch)
        )

    def _drop_silent(self, watch: Watch) -> bool:
        alive = {self._core.me, *self._core.alive()}
        silent = {m.peer for m in watch.plan.members if m.peer not in alive}
        owners = {s.owner for s in watch.plan.shards}
        matter = silent & ({m.peer for m in watch.plan.contributors} | owners)
        if not matter:
            return False
        self.amend(watch, Amendment(f"without {self._names(matter)}: silent", gone=frozenset(silent)))
        return True

    def _drop_lost(self, watch: Watch) -> bool:
        """Who did not get to the weights that the plan starts from needs a snapshot, and holds nobody up."""
        needed = {m.peer for m in watch.plan.contributors} | {s.owner for s in watch.plan.shards}
        lost = {p for p in needed - {self._core.me} if self.planner.catches_up(p)}
        if not lost:
            return False
        self.amend(watch, Amendment(f"without {self._names(lost)}: catching up", gone=frozenset(lost)))
        return True

    def _pass_over_stragglers(self, watch: Watch) -> bool:
        contributors = [m.peer for m in watch.plan.contributors]
        durations = sorted(watch.trained.values())
        expected_s = self.planner.pace.expected_s(watch.plan.contributors)
        deadline = straggler_deadline(durations, len(contributors), expected_s)
        if deadline is None or self._core.now - watch.planned_at <= deadline:
            return False
        late = {p for p in contributors if p not in watch.trained}
        if not late:
            return False
        reason = f"without {self._names(late)}: still training after {deadline:.1f} s"
        self.amend(watch, Amendment(reason, late=frozenset(late)))
        return True

    def _rearrange(self, watch: Watch) -> bool:
        """Live members that cannot finish the exchange: first all shards to the leader, then without them."""
        if any(m.peer not in watch.trained for m in watch.plan.contributors):
            return False
        now = self._core.now
        if watch.exchange_since is None:
            watch.exchange_since = now
        waited_s = now - watch.exchange_since
        # Most exchanges end long before; only then it matters how slow the lines are.
        if waited_s <= self._core.config.exchange_s or waited_s <= self.planner.exchange_s(watch.plan):
            return False
        missing = {p for p in self._voters(watch.plan) if p not in watch.votes} - {self._core.me}
        if watch.rearranged == 0 or not missing:
            reason, gone = "exchange took too long: the leader reduces all", set[PeerId]()
            self.planner.apart.seen(self._asked_in_vain(watch.plan))
        elif gone := self._mine.withheld() - {self._core.me}:
            # The others wait for these as well.
            reason = f"without {self._names(gone)}: nothing of theirs arrives"
        else:
            reason, gone = f"without {self._names(missing)}: exchange not finished", missing
        self.amend(watch, Amendment(reason, gone=frozenset(gone), leader_reduces=True))
        return True

    def _asked_in_vain(self, plan: Plan) -> dict[PeerId, tuple[PeerId, ...]]:
        """Which owners wait in vain for whose slices, by their own word."""
        now = (plan.round, plan.attempt)
        owners = {s.owner for s in plan.shards}
        beats = {
            p: view.beat for p, view in self._core.peers.items() if p in owners and view.beat is not None
        }
        told = {p: b for p, b in beats.items() if b.asked_in_vain and (b.round, b.attempt) == now}
        return {p: b.asked_in_vain for p, b in told.items()}

    def amend(self, watch: Watch, change: Amendment) -> None:
        """Go on with the round under ``change``, or end it if nobody is left."""
        amended = self.planner.amended(watch.plan, change)
        if amended is None:
            self._core.note("round", f"round {watch.plan.round} aborted: nobody is left ({change.reason})")
            self.watch = None
            return
        left = change.gone | change.late | change.rejected
        anew = Watch(
            amended,
            watch.planned_at,
            self._core.now,
            {p: t for p, t in watch.trained.items() if p not in left},
            rearranged=watch.rearranged + int(change.leader_reduces),
        )
        self._announce(anew, change.gone)

    def gone(self, peer: PeerId) -> None:
        """A peer leaves: its unfinished spans go to others."""
        watch = self.watch
        if watch is not None and watch.plan.member(peer) is not None:
            reason = f"without {self._core.name(peer)}: it leaves"
            self.amend(watch, Amendment(reason, gone=frozenset({peer})))
        self.planner.pool.give_back(peer)

    def _names(self, peers: set[PeerId]) -> str:
        return ", ".join(self._core.name(p) for p in sorted(peers))

    # -- deciding ----------------------------------------------------------------------------

    def _voters(self, plan: Plan) -> set[PeerId]:
        return {m.peer for m in plan.contributors} | {self._core.me}

    def _decide(self, watch: Watch) -> None:
        if len(watch.votes) < len(watch.plan.contributors):
            return
        voters = self._voters(watch.plan)
        if any(p not in watch.votes for p in voters):
            return
        mine = watch.votes[self._core.me]
        others = {p for p in voters if watch.votes[p] != mine}
        if not others:
            self._commit_round(watch)
        elif watch.rearranged == 0:
            self.amend(watch, Amendment("digests differ: the leader reduces again", leader_reduces=True))
        else:
            reason = f"without {self._names(others)}: other digests"
            self.amend(watch, Amendment(reason, gone=frozenset(others), leader_reduces=True))

    def _commit_round(self, watch: Watch) -> None:
        core = self._core
        candidate = self._mine.candidate
        assert candidate is not None and candidate.plan == watch.plan
        record = candidate.record(core.images)
        self.planner.committed(watch.plan)
        self.watch = None
        self._tell(
            "commit",
            f"round {record.version} committed: {counted(len(record.contributions), 'contributor')}, "
            f"{counted(sum(c.images for c in record.contributions), 'image')}, "
            f"{core.now - watch.planned_at:.1f} s",
            watch.plan.attempt > 1,
        )
        core.metrics[record.version] = RoundMetric(
            record.version,
            core.now - core.version_since,
            {c.peer: self._metric(c.peer) for c in record.contributions},
        )
        # Before this peer's own weights change, which takes a while: the others change theirs meanwhile.
        for peer in core.alive():
            core.send(peer, RoundCommitted(run=core.run, term=core.term, record=record))
        self._mine.apply(record)

    def _metric(self, peer: PeerId) -> PeerMetric:
        """A contributor's speed, and what it told with its vote."""
        speed = self.planner.pace.believed(peer)
        if peer == self._core.me:
            return PeerMetric(speed, self._mine.losses, self._mine.traffic)
        view = self._core.peers.get(peer)
        beat = view.beat if view is not None else None
        return PeerMetric(speed, None) if beat is None else PeerMetric(speed, beat.losses, beat.traffic)
