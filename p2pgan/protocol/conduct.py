"""The leader's side of rounds: plan, watch, amend, decide, commit.

::

    ANNOUNCED -> TRAINING -> EXCHANGING -> VERIFIED -> COMMITTED | ABORTED

A round is amended (attempt + 1) when a member falls silent or is too slow; it is committed when all
its contributors and the leader report the same digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import ClaimUnits, SendWelcome
from p2pgan.protocol.events import ProgressRead
from p2pgan.protocol.ids import PeerId, images_in
from p2pgan.protocol.member import Member as MyPart
from p2pgan.protocol.messages import Heartbeat, Member, Phase, Plan, RoundCommitted, Shard
from p2pgan.protocol.planning import cut_shards, straggler_deadline, work_images
from p2pgan.protocol.units import UnitPool

SPEED_MEMORY = 0.5
"""Weight of the newest measurement in a peer's speed."""
DONORS = 4
"""Peers named to a joiner."""


@dataclass
class Watch:
    """What the leader has seen of the round under way."""

    plan: Plan
    planned_at: float
    """When the work was handed out."""
    announced_at: float
    """When this attempt was."""
    fresh: frozenset[PeerId]
    """Contributors whose spans this round handed out: their times say how fast they are."""
    trained: dict[PeerId, float] = field(default_factory=dict)
    """Seconds after the plan."""
    votes: dict[PeerId, str] = field(default_factory=dict)
    exchange_since: float | None = None
    rearranged: int = 0


class Conductor:
    """Conducts one round after the other while this peer leads."""

    def __init__(self, core: Core, mine: MyPart) -> None:
        self._core, self._mine = core, mine
        config = core.config
        self.pool = UnitPool(config.images, config.unit_images, config.microbatch, config.goal_epochs)
        self.watch: Watch | None = None
        self._speeds: dict[PeerId, float] = {}
        self._previous: dict[PeerId, int] = {}
        self._last_members: frozenset[PeerId] = frozenset()
        self._attempt = 0

    def begin(self, progress: ProgressRead) -> None:
        """A term begins: what is open follows from committed progress and the ledger."""
        uncommitted = [s for r in self._core.uncommitted() for c in r.contributions for s in c.spans]
        self.pool.restore(progress.epochs, uncommitted)
        self.watch = None
        self._attempt = 0
        self._previous = {}
        self._last_members = frozenset()

    # -- planning ----------------------------------------------------------------------------

    def _is_current(self, peer: PeerId) -> bool:
        """Whether ``peer`` has the current weights, or will have them before it reads a plan."""
        view = self._core.peers[peer]
        current = (self._core.version, self._core.digest)
        beat = view.beat
        if beat is None or beat.term != self._core.term or beat.phase == Phase.CATCHING_UP:
            return False
        if (view.version, view.digest) == current or (beat.round, beat.candidate) == current:
            return True
        # It was sent everything of the last round, as contributor or rider, and knows what that is based on.
        last = self._core.record_of(self._core.version)
        followed = last is not None and (last.version - 1, last.parent_digest) == (view.version, view.digest)
        return followed and peer in self._last_members

    def _reports_here(self, peer: PeerId) -> bool:
        beat = self._core.peers[peer].beat
        return beat is not None and beat.term == self._core.term

    def plan_next(self) -> None:
        """Announce the next round to everyone who can take part."""
        core = self._core
        if self.watch is not None:
            return
        present = [p for p in core.alive() if self._reports_here(p)]
        current = [p for p in present if self._is_current(p)]
        for holder in self.pool.holders() - {core.me, *current}:
            self.pool.give_back(holder)
        holding: set[PeerId] = set()
        members = [self._with_work(p, holding) for p in ([core.me] if core.trains else []) + current]
        contributors = [m for m in members if m.contributes]
        if not contributors:
            for member in members:
                self.pool.give_back(member.peer)
            return
        listed = {m.peer for m in members}
        riders = [Member(p, (), False) for p in (core.me, *present) if p not in listed]
        shards = cut_shards(core.config.vector_size, sorted({core.me, *current}))
        self._attempt += 1
        images = sum(images_in(m.spans) for m in contributors)
        reason = f"{len(contributors)} contributors, {images} images"
        plan = self._plan(self._attempt, tuple(members + riders), shards, reason)
        self._welcome_riders(riders)
        claims = self.pool.claims()
        if claims:
            core.emit(ClaimUnits(core.term, claims))
        fresh = frozenset(m.peer for m in contributors if m.peer not in holding)
        self._announce(plan, Watch(plan, core.now, core.now, fresh))

    def _with_work(self, peer: PeerId, holding: set[PeerId]) -> Member:
        """Let a peer go on with what it holds (and note that), or give it new spans by its speed."""
        core = self._core
        beat = core.peers[peer].beat if peer != core.me else None
        held = self._mine.held if peer == core.me else (beat.held if beat is not None else ())
        if beat is not None and (beat.version, beat.digest) != (core.version, core.digest):
            held = self.pool.held(peer)
        if held and self.pool.take_exactly(peer, held):
            holding.add(peer)
            return Member(peer, held, True)
        speed = self._speeds.get(peer) or (beat.images_per_s if beat else self._mine.images_per_s)
        previous = self._previous.get(peer, 0)
        config = core.config
        spans = self.pool.take(peer, work_images(speed, config.round_s, config.microbatch, previous))
        self._previous[peer] = images_in(spans)
        return Member(peer, spans, bool(spans))

    def _plan(self, first: int, members: tuple[Member, ...], shards: tuple[Shard, ...], reason: str) -> Plan:
        core = self._core
        return Plan(
            run=core.run,
            term=core.term,
            round=core.version + 1,
            attempt=self._attempt,
            first_attempt=first,
            base_version=core.version,
            base_digest=core.digest,
            members=members,
            shards=shards,
            codec=core.config.codec,
            reason=reason[:200],
        )

    def _welcome_riders(self, riders: list[Member]) -> None:
        """Those who asked get the weights this round starts from, so that they can follow it."""
        core = self._core
        donors = tuple([core.me, *(p for p in core.alive() if self._is_current(p))][:DONORS])
        for rider in riders:
            beat = core.peers[rider.peer].beat if rider.peer != core.me else None
            if beat is not None and beat.phase == Phase.CATCHING_UP and beat.attempt == 0:
                core.emit(SendWelcome(rider.peer, core.term, tuple(core.ledger), donors))

    def _announce(self, plan: Plan, watch: Watch, also_to: set[PeerId] | None = None) -> None:
        core = self._core
        self.watch = watch
        core.note("round", f"round {plan.round} attempt {plan.attempt}: {plan.reason}")
        for peer in sorted({m.peer for m in plan.members} | (also_to or set())):
            core.send(peer, plan)
        self._mine.planned(plan)

    # -- watching ----------------------------------------------------------------------------

    def heartbeat(self, sender: PeerId, beat: Heartbeat) -> None:
        """Progress of a member; also mends what it missed."""
        watch = self.watch
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
            self._measure(watch, member)
        if phase == Phase.VERIFIED and attempt == plan.attempt and candidate:
            watch.votes[peer] = candidate

    def _measure(self, watch: Watch, member: Member) -> None:
        """The leader measures speed itself: images it gave over the time they took."""
        seconds = max(1e-3, self._core.now - watch.planned_at)
        watch.trained[member.peer] = seconds
        if member.peer not in watch.fresh:
            return
        speed = images_in(member.spans) / seconds
        known = self._speeds.get(member.peer, speed)
        self._speeds[member.peer] = known + SPEED_MEMORY * (speed - known)

    def _resend_record(self, sender: PeerId, beat: Heartbeat) -> None:
        core = self._core
        record = core.record_of(beat.version + 1)
        if beat.version < core.version and record is not None and record.parent_digest == beat.digest:
            core.send(sender, RoundCommitted(run=core.run, term=core.term, record=record))

    def watch_myself(self) -> None:
        """The leader's own part counts like any member's."""
        watch = self.watch
        if watch is not None and (plan := self._mine.plan) is not None:
            voted = self._mine.voted
            digest = voted.digest if voted else ""
            self._see(watch, self._core.me, plan.round, plan.attempt, self._mine.phase, digest)

    def tick(self) -> None:
        """Amend, decide, or plan."""
        self.watch_myself()
        watch = self.watch
        if watch is None:
            self.plan_next()
            return
        if self._drop_silent(watch) or self._pass_over_stragglers(watch) or self._rearrange(watch):
            return
        self._decide(watch)

    def _drop_silent(self, watch: Watch) -> bool:
        alive = {self._core.me, *self._core.alive()}
        silent = {m.peer for m in watch.plan.members if m.peer not in alive}
        owners = {s.owner for s in watch.plan.shards}
        matter = silent & ({m.peer for m in watch.plan.contributors} | owners)
        if not matter:
            return False
        names = ", ".join(self._core.name(p) for p in sorted(matter))
        self.amend(watch, silent, set(), f"without {names}: silent")
        return True

    def _pass_over_stragglers(self, watch: Watch) -> bool:
        contributors = [m.peer for m in watch.plan.contributors]
        durations = sorted(watch.trained.values())
        deadline = straggler_deadline(durations, len(contributors), self._core.config.round_s)
        if deadline is None or self._core.now - watch.planned_at <= deadline:
            return False
        late = {p for p in contributors if p not in watch.trained}
        if not late:
            return False
        names = ", ".join(self._core.name(p) for p in sorted(late))
        self.amend(watch, set(), late, f"without {names}: still training after {deadline:.1f} s")
        return True

    def _rearrange(self, watch: Watch) -> bool:
        """Live members that cannot finish the exchange: first all shards to the leader, then without them."""
        if any(m.peer not in watch.trained for m in watch.plan.contributors):
            return False
        now = self._core.now
        if watch.exchange_since is None:
            watch.exchange_since = now
        if now - watch.exchange_since <= self._core.config.exchange_s:
            return False
        missing = {p for p in self._voters(watch.plan) if p not in watch.votes} - {self._core.me}
        if watch.rearranged == 0 or not missing:
            self.amend(watch, set(), set(), "exchange took too long: the leader reduces all", everything=True)
        else:
            names = ", ".join(self._core.name(p) for p in sorted(missing))
            self.amend(watch, missing, set(), f"without {names}: exchange not finished", everything=True)
        return True

    def amend(
        self, watch: Watch, gone: set[PeerId], late: set[PeerId], reason: str, everything: bool = False
    ) -> None:
        """The same round with fewer contributors; contributions of the others stand.

        ``gone`` leave the round and their spans open again; ``late`` ride along and keep theirs;
        ``everything`` makes the leader the owner of all shards.
        """
        core, plan = self._core, watch.plan
        for peer in gone:
            self.pool.give_back(peer)
        members = tuple(
            Member(m.peer, m.spans, m.contributes and m.peer not in late)
            for m in plan.members
            if m.peer not in gone
        )
        if not any(m.contributes for m in members):
            self.abort(f"round {plan.round} aborted: nobody is left ({reason})")
            return
        heirs = sorted({s.owner for s in plan.shards} - gone) or [core.me]
        shards = tuple(
            Shard(
                core.me if everything else s.owner if s.owner not in gone else heirs[i % len(heirs)],
                s.start,
                s.stop,
            )
            for i, s in enumerate(plan.shards)
        )
        self._attempt += 1
        amended = self._plan(plan.first_attempt, members, shards, reason)
        trained = {p: t for p, t in watch.trained.items() if p not in gone | late}
        rearranged = watch.rearranged + (1 if everything else 0)
        anew = Watch(amended, watch.planned_at, core.now, watch.fresh, trained, rearranged=rearranged)
        self._announce(amended, anew, gone)

    def abort(self, reason: str) -> None:
        """The round ends without a version; its spans stay with those who still hold them."""
        self._core.note("round", reason)
        self.watch = None

    def gone(self, peer: PeerId) -> None:
        """A peer leaves: its unfinished spans go to others."""
        watch = self.watch
        if watch is not None and watch.plan.member(peer) is not None:
            self.amend(watch, {peer}, set(), f"without {self._core.name(peer)}: it leaves")
        self.pool.give_back(peer)

    # -- deciding ----------------------------------------------------------------------------

    def _voters(self, plan: Plan) -> set[PeerId]:
        return {m.peer for m in plan.contributors} | {self._core.me}

    def _decide(self, watch: Watch) -> None:
        voters = self._voters(watch.plan)
        if any(p not in watch.votes for p in voters):
            return
        mine = watch.votes[self._core.me]
        others = {p for p in voters if watch.votes[p] != mine}
        if not others:
            self._commit_round(watch)
        elif watch.rearranged == 0:
            self.amend(watch, set(), set(), "digests differ: reduced again by the leader", everything=True)
        else:
            names = ", ".join(self._core.name(p) for p in sorted(others))
            self.amend(watch, others, set(), f"without {names}: other digests", everything=True)

    def _commit_round(self, watch: Watch) -> None:
        core = self._core
        candidate = self._mine.candidate
        assert candidate is not None and candidate.plan == watch.plan
        record = candidate.record(core.images)
        for contribution in record.contributions:
            self.pool.done(contribution.peer)
        self.watch = None
        self._attempt = 0
        self._last_members = frozenset(m.peer for m in watch.plan.members)
        core.note(
            "round",
            f"round {record.version} committed: {len(record.contributions)} contributors agree, "
            f"{sum(c.images for c in record.contributions)} images, "
            f"{core.now - watch.planned_at:.1f} s",
        )
        self._mine.apply(record)
        for peer in core.alive():
            core.send(peer, RoundCommitted(run=core.run, term=core.term, record=record))

    def speed(self, peer: PeerId) -> float:
        """Images per second as measured over the last rounds; 0 if unknown."""
        return self._speeds.get(peer, 0.0)
