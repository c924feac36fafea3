"""What a leader puts into its plans: who takes part, with which spans, and who reduces what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from p2pgan.protocol.bandwidth import Bandwidth
from p2pgan.protocol.codecs import CodecName
from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import ClaimUnits, SendWelcome
from p2pgan.protocol.events import ProgressRead
from p2pgan.protocol.ids import PeerId, images_in
from p2pgan.protocol.member import Member as MyPart
from p2pgan.protocol.messages import Member, Phase, Plan, Shard
from p2pgan.protocol.shares import deal_parts, most_images, work_images
from p2pgan.protocol.standing import Standing
from p2pgan.protocol.texts import counted
from p2pgan.protocol.units import UnitPool

SPEED_MEMORY = 0.5
"""Weight of the newest measurement in a peer's speed."""
LARGEST_SPEED_UP = 2
"""What a peer says of its speed, and nobody has timed, is believed up to so many times what is known."""
EXCHANGE_ROOM = 2
"""An exchange may take so many times as long as its slowest member sends."""
LONGEST_EXCHANGE = 4
"""In usual bounds: what a peer says of its line must not hold all others up for long."""
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


class Planner:
    """Makes plans out of the pool of work, the peers present and their measured speeds."""

    def __init__(self, core: Core, mine: MyPart) -> None:
        self._core, self._mine = core, mine
        config = core.config
        self.pool = UnitPool(
            config.images, config.unit_images, config.microbatch, config.goal_epochs, config.parts
        )
        self.standing = Standing(core)
        self._bandwidth = Bandwidth(core)
        self._speeds: dict[PeerId, float] = {}
        self._previous: dict[PeerId, int] = {}
        """Images of each peer's last work."""
        self._began: dict[PeerId, float] = {}
        """When each peer began with the spans it trains, as far as that is known."""
        self._last_members: frozenset[PeerId] = frozenset()
        self._awaited_until: dict[PeerId, float] = {}
        """How long a leader that is alone waits for a peer on its way to the current weights."""
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
        self._previous = {c.peer: c.images for r in core.ledger for c in r.contributions}
        self._last_members = frozenset()
        self._began = {}
        self._attempt = 0

    def committed(self, plan: Plan) -> None:
        """The plan's round has become a version: its work is done."""
        for member in plan.contributors:
            self.pool.done(member.peer)
            self._awaited_until.pop(member.peer, None)
        self.standing.counted(m.peer for m in plan.contributors)
        self._last_members = frozenset(m.peer for m in plan.members)
        self._attempt = 0

    def trained(self, member: Member, planned_at: float) -> None:
        """``member`` is done with its spans, planned then: it is as fast as it says, if time bears that out.

        What it says is the smaller figure where word of several trainings comes at once, as after a sleep.
        """
        now, known, told = self._core.now, self.speed(member.peer), self._told(member.peer)
        began = self._began.pop(member.peer, None)
        # Who was done before the plan came has waited since, and nobody knows for how long.
        if began is not None and 2 * (now - planned_at) >= now - began:
            seen = images_in(member.spans) / max(1e-3, now - began)
            self._measured(member.peer, min(seen, told) if told > 0 else seen)
        elif known > 0 and told > 0:
            self._measured(member.peer, min(LARGEST_SPEED_UP * known, told))
        if member.ahead:
            self._began[member.peer] = now

    def _measured(self, peer: PeerId, speed: float) -> None:
        known = self._speeds.get(peer, speed)
        self._speeds[peer] = known + SPEED_MEMORY * (speed - known)

    def _told(self, peer: PeerId) -> float:
        """Images per second that a peer says it trains; 0 if it has not trained yet."""
        beat = self._core.peers[peer].beat if peer != self._core.me else None
        return beat.images_per_s if beat is not None else self._mine.images_per_s

    def expected_s(self, plan: Plan) -> float:
        """How long the training of a round should take: as set, or as the slowest one is known to need."""
        config = self._core.config
        if config.local_steps is None:
            return config.round_s
        known = [m for m in plan.contributors if self.speed(m.peer) > 0]
        return max((images_in(m.spans) / self.speed(m.peer) for m in known), default=0.0)

    def exchange_s(self, plan: Plan) -> float:
        """How long the exchange of a round may take: longer where sending alone is known to take long."""
        usual = self._core.config.exchange_s
        return min(max(usual, EXCHANGE_ROOM * self._bandwidth.sends_s(plan)), LONGEST_EXCHANGE * usual)

    def speed(self, peer: PeerId) -> float:
        """Images per second as measured over the last rounds; 0 if unknown."""
        return self._speeds.get(peer, 0.0)

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
        most = most_images(self._previous.get(p, 0) for p in trainers)
        self._parts = deal_parts(core.run, len(core.config.parts), frozenset(trainers))
        members = [self._with_work(p, most) for p in trainers]
        # Once everyone has some work.
        members = [self._with_work_ahead(m, most) for m in members]
        contributors = [m for m in members if m.contributes]
        listed = {m.peer for m in members}
        riders = [Member(p, (), False) for p in (core.me, *present) if p not in listed]
        self._welcome(riders, current)
        if not contributors:
            return None
        owners = sorted({core.me, *(p for p in current if not self.standing.is_set_aside(p))})
        shards = self._bandwidth.shards(owners, {m.peer for m in contributors}, len(members) + len(riders))
        claims = self.pool.claims()
        if claims:
            core.emit(ClaimUnits(core.term, claims))
        images = sum(images_in(m.spans) for m in contributors)
        reason = f"{counted(len(contributors), 'contributor')}, {counted(images, 'image')}"
        return self._plan(None, tuple(members + riders), shards, self._bandwidth.codec(listed), reason)

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
        could make versions faster than it sends them, and nobody would ever catch up. Each peer is waited for
        as long as an exchange may take, then not again before it has contributed.
        """
        if any(self._trains(peer) for peer in current):
            return False
        now, until = self._core.now, self._core.now + self._core.config.exchange_s
        waits = False
        for peer in present:
            # Who catches up needs a plan to begin with.
            if peer in self._last_members and self._trains(peer) and not self.catches_up(peer):
                waits |= now < self._awaited_until.setdefault(peer, until)
        return waits

    def catches_up(self, peer: PeerId) -> bool:
        """Whether a peer says that it has to fetch weights."""
        beat = self._core.peers[peer].beat
        return beat is not None and beat.phase == Phase.CATCHING_UP

    def _trains(self, peer: PeerId) -> bool:
        if peer == self._core.me:
            return self._core.trains
        beat = self._core.peers[peer].beat
        return beat is not None and beat.trains and not self.standing.is_set_aside(peer)

    def _reports_here(self, peer: PeerId) -> bool:
        beat = self._core.peers[peer].beat
        return beat is not None and beat.term == self._core.term

    def _with_work(self, peer: PeerId, most: float) -> Member:
        """Let a peer go on with what it holds, or give it new spans by its speed."""
        core = self._core
        beat = core.peers[peer].beat if peer != core.me else None
        held = self._mine.held if peer == core.me else (beat.held if beat is not None else ())
        if beat is not None and (beat.version, beat.digest) != (core.version, core.digest):
            held = self.pool.held(peer)
        if held and self.pool.take_exactly(peer, held):
            if not core.config.overlaps:
                self._began[peer] = core.now
            return Member(peer, held, True)
        spans = self.pool.take(peer, self._images_for(peer, most), self._parts[peer])
        self._previous[peer] = images_in(spans)
        self._began[peer] = core.now
        return Member(peer, spans, bool(spans))

    def _with_work_ahead(self, member: Member, most: float) -> Member:
        """Give a contributor what to go on with while the round is exchanged."""
        if not (member.contributes and self._core.config.overlaps):
            return member
        images = self._images_for(member.peer, most)
        ahead = self.pool.take_ahead(member.peer, images, self._parts[member.peer])
        if ahead:
            self._previous[member.peer] = images_in(ahead)
        return replace(member, ahead=ahead)

    def _images_for(self, peer: PeerId, most: float) -> int:
        """How much work a peer gets: what takes it as long as a round, or a fixed number of steps."""
        core = self._core
        config, previous = core.config, self._previous.get(peer, 0)
        if config.local_steps is not None:
            return config.local_steps * config.microbatch
        speed = self._speeds.get(peer) or self._told(peer)
        return work_images(speed, config.round_s, config.microbatch, previous, most)

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
            beat = core.peers[rider.peer].beat if rider.peer != core.me else None
            asks = beat is not None and beat.phase == Phase.CATCHING_UP and beat.attempt == 0
            if asks and core.now >= self._welcome_again.get(rider.peer, 0.0):
                self._welcome_again[rider.peer] = core.now + core.config.resend_s
                core.emit(SendWelcome(rider.peer, core.term, tuple(core.ledger), donors))

    # -- the same round again ----------------------------------------------------------------

    def amended(self, plan: Plan, change: Amendment) -> Plan | None:
        """``plan`` after ``change``; None if nobody is left who contributes."""
        for peer in change.gone | change.rejected:
            self.pool.give_back(peer)
        for member in plan.members:
            self._late(member, change)
        members = tuple(self._after(m, change) for m in plan.members if m.peer not in change.gone)
        if not any(m.contributes for m in members):
            return None
        shards = self._reassigned(plan, change)
        return self._plan(plan.first_attempt, members, shards, plan.codec, change.reason)

    def _late(self, member: Member, change: Amendment) -> None:
        """Who is late is no faster than this: it is given less, or more time, in the next round."""
        began = self._began.get(member.peer)
        if member.peer in change.late and began is not None:
            self._measured(member.peer, images_in(member.spans) / max(1e-3, self._core.now - began))

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
