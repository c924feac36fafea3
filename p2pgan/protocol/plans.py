"""What a leader puts into its plans: who takes part, with which spans, and who reduces what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from p2pgan.protocol.apart import Apart
from p2pgan.protocol.bandwidth import Bandwidth
from p2pgan.protocol.codecs import CodecName
from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import ClaimUnits, SendWelcome
from p2pgan.protocol.events import ProgressRead
from p2pgan.protocol.ids import PeerId, images_in
from p2pgan.protocol.member import Member as MyPart
from p2pgan.protocol.messages import Member, Phase, Plan, Shard
from p2pgan.protocol.pace import Pace
from p2pgan.protocol.shares import Bounds, deal_parts
from p2pgan.protocol.standing import Standing
from p2pgan.protocol.texts import counted
from p2pgan.protocol.units import UnitPool

EXCHANGE_ROOM = 2
"""An exchange may take so many times as long as its slowest member sends."""
ROOM_FOR_SNAPSHOTS = 2
"""A leader that trains alone takes so many times as long for a round as it takes to send its results."""
LONGEST_EXCHANGE = 4
"""In usual bounds: what a peer says of its line must not hold all others up for long."""
FIRST_REST = 2
"""In usual bounds: so long a leader that trains alone goes on before it waits for a peer again."""
DONORS = 4
"""Peers named to a joiner."""


@dataclass(frozen=True)
class Amendment:
    """The same round with fewer contributors; contributions of the others stand."""

    reason: str
    gone: frozenset[PeerId] = frozenset()
    """They leave the round; their spans open again."""
    late: frozenset[PeerId] = frozenset()
    """They ride along and keep their spans."""
    rejected: frozenset[PeerId] = frozenset()
    """They ride along, so that they are there for the next round; their spans open again."""
    leader_reduces: bool = False
    """The leader becomes the owner of all shards."""


@dataclass(frozen=True)
class _Patience:
    """A peer is waited for until then, and not for so long after that."""

    until: float
    rest_s: float


class Planner:
    """Makes plans out of the pool of work, the peers present and their measured speeds."""

    def __init__(self, core: Core, mine: MyPart) -> None:
        self._core, self._mine = core, mine
        config = core.config
        self.pool = UnitPool(
            config.images, config.unit_images, config.microbatch, config.goal_epochs, config.parts
        )
        self.standing = Standing(core)
        self.apart = Apart(core)
        self.pace = Pace(core, mine)
        self._bandwidth = Bandwidth(core)
        self._last_members: frozenset[PeerId] = frozenset()
        self._awaited: dict[PeerId, _Patience] = {}
        """With each peer that was on its way to the weights of a leader that trains alone."""
        self._room_from = 0.0
        """When the last round's results have left room for a snapshot on this peer's line."""
        self._welcome_again: dict[PeerId, float] = {}
        """Until when a peer's answer to its Welcome is awaited."""
        self._attempt = 0
        self._parts: Mapping[PeerId, frozenset[int]] = {}
        """Of which parts of an epoch each peer gets its spans first."""

    def begin(self, progress: ProgressRead) -> None:
        """A term begins: what is open follows from committed progress and the ledger."""
        core = self._core
        uncommitted = [s for r in core.uncommitted() for c in r.contributions for s in c.spans]
        self.pool.restore(progress.epochs, uncommitted)
        self.standing.begin()
        self.pace.begin()
        self._last_members = frozenset()
        # Who contributed under other leaders shows in the ledger alone.
        for contribution in (c for r in core.ledger for c in r.contributions):
            self._awaited.pop(contribution.peer, None)
        self._attempt = 0

    def committed(self, plan: Plan) -> None:
        """The plan's round has become a version: its work is done."""
        for member in plan.contributors:
            self.pool.done(member.peer)
            self._awaited.pop(member.peer, None)
        self.standing.counted(m.peer for m in plan.contributors)
        self._last_members = frozenset(m.peer for m in plan.members)
        self._attempt = 0

    def exchange_s(self, plan: Plan) -> float:
        """How long the exchange of a round may take: longer where sending alone is known to take long."""
        usual = self._core.config.exchange_s
        return self._most_of(max(usual, EXCHANGE_ROOM * self._bandwidth.sends_s(plan)))

    def _most_of(self, seconds: float) -> float:
        return min(seconds, LONGEST_EXCHANGE * self._core.config.exchange_s)

    # -- a new round -------------------------------------------------------------------------

    def next_plan(self) -> Plan | None:
        """The next round; None if there is nobody or no work."""
        core = self._core
        present = [p for p in core.alive() if self._reports_here(p)]
        current = [p for p in present if self.is_current(p)]
        if self._waits_for_riders(present, current):
            return None
        for holder in self.pool.holders() - {core.me, *current}:
            self.pool.give_back(holder)
        trainers = [p for p in (core.me, *current) if self._trains(p)]
        bounds = self.pace.bounds(trainers)
        self._parts = deal_parts(core.run, len(core.config.parts), frozenset(trainers))
        members = [self._with_work(p, bounds) for p in trainers]
        # Once everyone has some work.
        members = [self._with_work_ahead(m, bounds) for m in members]
        contributors = [m for m in members if m.contributes]
        listed = {m.peer for m in members}
        riders = [Member(p, (), False) for p in (core.me, *present) if p not in listed]
        self._welcome(riders, current)
        if not contributors:
            return None
        owners = sorted({core.me, *(p for p in current if self._may_own(p))})
        self._bandwidth.rounds_take(self.pace.believed_s(contributors))
        shards = self._bandwidth.shards(owners, {m.peer for m in contributors}, len(members) + len(riders))
        claims = self.pool.claims()
        if claims:
            core.emit(ClaimUnits(core.term, claims))
        images = sum(images_in(m.spans) for m in contributors)
        reason = f"{counted(len(contributors), 'contributor')}, {counted(images, 'image')}"
        plan = self._plan(None, tuple(members + riders), shards, self._bandwidth.codec(listed), reason)
        self._room_from = core.now + self._most_of(ROOM_FOR_SNAPSHOTS * self._bandwidth.sends_s(plan))
        return plan

    def _may_own(self, peer: PeerId) -> bool:
        return not self.standing.is_set_aside(peer) and not self.apart.rests(peer)

    def is_current(self, peer: PeerId) -> bool:
        """Whether ``peer`` has the current weights, or will have them before it reads a plan."""
        view = self._core.peers[peer]
        current = (self._core.version, self._core.digest)
        beat = view.beat
        if beat is None or beat.term != self._core.term or self.catches_up(peer):
            return False
        if (view.version, view.digest) == current or (beat.round, beat.candidate) == current:
            return True
        # It was sent everything of the last round, as contributor or rider, and knows what that is based on.
        last = self._core.record_of(self._core.version)
        followed = last is not None and (last.version - 1, last.parent_digest) == (view.version, view.digest)
        return followed and peer in self._last_members

    def _waits_for_riders(self, present: list[PeerId], current: list[PeerId]) -> bool:
        """Who trains alone goes slowly enough for those on their way to its weights to get there.

        With other contributors a round takes as long as sending takes. Alone, over a slow line, a leader
        could make versions faster than it sends them, and nobody would ever catch up. So its rounds leave
        half of its line to the snapshots that others fetch. Each peer is also waited for as long as an
        exchange may take, then not for twice as long, and so on with rests that double until it has
        contributed.
        """
        if any(self._trains(peer) for peer in current):
            return False
        now, longest = self._core.now, self._core.config.exchange_s
        waits = now < self._room_from and any(self._trains(peer) for peer in present)
        for peer in present:
            if peer in self._last_members and self._trains(peer) and not self._asks_for_weights(peer):
                patience = self._awaited.get(peer)
                if patience is None:
                    patience = _Patience(now + longest, FIRST_REST * longest)
                elif now >= patience.until + patience.rest_s:
                    patience = _Patience(now + longest, 2 * patience.rest_s)
                self._awaited[peer] = patience
                waits |= now < patience.until
        return waits

    def catches_up(self, peer: PeerId) -> bool:
        """Whether a peer says that it has to fetch weights."""
        beat = self._core.peers[peer].beat
        return beat is not None and beat.phase == Phase.CATCHING_UP

    def _asks_for_weights(self, peer: PeerId) -> bool:
        """It gets them with the next plan; once it fetches them, it is on its way."""
        beat = self._core.peers[peer].beat
        return beat is not None and beat.phase == Phase.CATCHING_UP and beat.attempt == 0

    def _trains(self, peer: PeerId) -> bool:
        if peer == self._core.me:
            return self._core.trains
        beat = self._core.peers[peer].beat
        return beat is not None and beat.trains and not self.standing.is_set_aside(peer)

    def _reports_here(self, peer: PeerId) -> bool:
        beat = self._core.peers[peer].beat
        return beat is not None and beat.term == self._core.term

    def _with_work(self, peer: PeerId, bounds: Bounds) -> Member:
        """Let a peer go on with what it holds, or give it new spans by its speed."""
        core = self._core
        beat = core.peers[peer].beat if peer != core.me else None
        held = self._mine.held if peer == core.me else (beat.held if beat is not None else ())
        if beat is not None and (beat.version, beat.digest) != (core.version, core.digest):
            held = self.pool.held(peer)
        if held and self.pool.take_exactly(peer, held):
            if not core.config.overlaps:
                self.pace.begins(peer)
            return Member(peer, held, True)
        spans = self.pool.take(peer, self.pace.images_for(peer, bounds), self._parts[peer])
        self.pace.gets(peer, spans)
        self.pace.begins(peer)
        return Member(peer, spans, bool(spans))

    def _with_work_ahead(self, member: Member, bounds: Bounds) -> Member:
        """Give a contributor what to go on with while the round is exchanged."""
        if not (member.contributes and self._core.config.overlaps):
            return member
        images = self.pace.images_for(member.peer, bounds)
        ahead = self.pool.take_ahead(member.peer, images, self._parts[member.peer])
        if ahead:
            self.pace.gets(member.peer, ahead)
        return replace(member, ahead=ahead)

    def _plan(
        self,
        first: int | None,
        members: tuple[Member, ...],
        shards: tuple[Shard, ...],
        codec: CodecName,
        reason: str,
    ) -> Plan:
        core = self._core
        self._attempt += 1
        return Plan(
            run=core.run,
            term=core.term,
            round=core.version + 1,
            attempt=self._attempt,
            first_attempt=self._attempt if first is None else first,
            base_version=core.version,
            base_digest=core.digest,
            members=members,
            shards=shards,
            codec=codec,
            reason=reason[:200],
        )

    def _welcome(self, riders: list[Member], current: list[PeerId]) -> None:
        """Those who asked get the weights this round starts from, so that they can follow it."""
        core = self._core
        donors = tuple([core.me, *current][:DONORS])
        for rider in riders:
            asks = rider.peer != core.me and self._asks_for_weights(rider.peer)
            if asks and core.now >= self._welcome_again.get(rider.peer, 0.0):
                self._welcome_again[rider.peer] = core.now + core.config.resend_s
                core.emit(SendWelcome(rider.peer, core.term, tuple(core.ledger), donors))

    # -- the same round again ----------------------------------------------------------------

    def amended(self, plan: Plan, change: Amendment) -> Plan | None:
        """``plan`` after ``change``; None if nobody is left who contributes."""
        for peer in change.gone | change.rejected:
            self.pool.give_back(peer)
        for member in plan.members:
            if member.peer in change.late:
                self.pace.late(member)
        members = tuple(self._after(m, change) for m in plan.members if m.peer not in change.gone)
        if not any(m.contributes for m in members):
            return None
        shards = self._reassigned(plan, change)
        return self._plan(plan.first_attempt, members, shards, plan.codec, change.reason)

    def _after(self, member: Member, change: Amendment) -> Member:
        if member.peer in change.rejected:
            return Member(member.peer, (), False)
        return replace(member, contributes=member.contributes and member.peer not in change.late)

    def _reassigned(self, plan: Plan, change: Amendment) -> tuple[Shard, ...]:
        """The shards of owners that are gone go to the others in turn."""
        heirs = sorted({s.owner for s in plan.shards} - change.gone) or [self._core.me]
        if change.leader_reduces:
            heirs = [self._core.me]
        return tuple(
            s
            if s.owner not in change.gone and not change.leader_reduces
            else Shard(heirs[index % len(heirs)], s.start, s.stop)
            for index, s in enumerate(plan.shards)
        )
