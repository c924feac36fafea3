"""What a peer does while it holds the pen: gather, conduct rounds, commit, and know when to stop."""

from __future__ import annotations

from collections import Counter

from p2pgan.protocol.catchup import CatchUp
from p2pgan.protocol.commits import Commits
from p2pgan.protocol.conduct import Conductor
from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import Finish, PeerStat, RollUp, StopTraining
from p2pgan.protocol.events import CommitRefused, LeaseReleased, ProgressRead
from p2pgan.protocol.gathering import Gathering
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.leadership import Leadership, Role
from p2pgan.protocol.member import Member
from p2pgan.protocol.messages import ContributionRejected, Handover, RunFinished
from p2pgan.protocol.plans import Amendment
from p2pgan.protocol.shares import by_rendezvous_hash
from p2pgan.protocol.standing import REJECTIONS
from p2pgan.protocol.texts import counted

FLUSH_S = 3.0
"""Before a handover rounds wait at most so long for the commits of those before."""
MOST_COUNTED = 2**53
"""Beyond it JSON's readers lose digits."""


class Leading:
    """The leader's parts, in the order in which a term needs them."""

    def __init__(self, core: Core, leadership: Leadership, member: Member, catchup: CatchUp) -> None:
        self._core, self._leadership = core, leadership
        self.gathering = Gathering(core, member, catchup)
        self.commits = Commits(core)
        self.conductor = Conductor(core, member)
        self._next_rollup = 0.0
        self._flush_until: float | None = None

    def term_begins(self) -> None:
        self._flush_until = None
        self.gathering.begin()
        self.commits.begin()

    def step(self) -> None:
        """Go on with whatever can go on; called after every event."""
        leadership = self._leadership
        if leadership.releasing:
            return
        if leadership.role is Role.GATHERING:
            self._gather()
            return
        if not leadership.may_decide:
            return
        if not self._at_rest():
            self.conductor.tick()
            if self.conductor.watch is None and not self._at_rest():
                self.conductor.plan_next()
        if not leadership.releasing:
            self.commits.tick()
            self._roll_up()

    def progress_read(self, event: ProgressRead) -> None:
        """Whoever slept since it got the pen must not go on from what was committed in a later term."""
        if event.term > self._core.term:
            self._leadership.lost(self._core.term)
        elif event.term < self._core.term:
            self.gathering.failed()
        else:
            self.gathering.progress_read(event)

    def _gather(self) -> None:
        if self.gathering.tick():
            assert self.gathering.progress is not None
            self._leadership.role = Role.LEADING
            self.conductor.begin(self.gathering.progress)
            self._core.note("leader", f"term {self._core.term} goes on from version {self._core.version}")

    def _at_rest(self) -> bool:
        """Between two rounds: is there a reason not to plan the next one?"""
        core = self._core
        if self.conductor.watch is not None:
            return False
        if self._goal_reached():
            self.commits.urgent = True
            if self.commits.waiting == 0:
                self.commits.finish()
            return True
        if core.leaving:
            return True
        successor = self.successor()
        reason = self._reason_to_hand_over(successor)
        if reason is None:
            return False
        if not self._flushed():
            return True
        if self.commits.under_way:
            return False
        core.note("leader", reason)
        self._leadership.release(successor)
        return True

    def _reason_to_hand_over(self, successor: PeerId | None) -> str | None:
        core, every = self._core, self._core.config.rotate_every
        if core.walled and successor is None:
            return "others are here, and none can dial this peer: the pen goes to whoever of them takes it"
        if every and self.commits.done_in_term >= every and successor is not None:
            return f"{counted(every, 'commit')} in this term: the pen goes to {core.name(successor)}"
        return None

    def _flushed(self) -> bool:
        """Whether the database has all versions, so that none is lost if the next leader leaves at once.

        It gets ``FLUSH_S`` for that in a term: where it is away, rounds go on.
        """
        if not self.commits.waiting:
            return True
        if self._flush_until is None:
            self._flush_until = self._core.now + FLUSH_S
        self.commits.urgent = True
        return self._core.now >= self._flush_until

    def _goal_reached(self) -> bool:
        goal = self._core.config.goal_versions
        if goal is not None and self._core.version >= goal:
            return True
        pool = self.conductor.planner.pool
        return pool.exhausted and not pool.holders()

    def successor(self) -> PeerId | None:
        """The next eligible peer by rendezvous hashing: alive, on these weights, not set aside."""
        core = self._core
        planner = self.conductor.planner
        eligible = [
            p
            for p in core.alive()
            if core.peers[p].info.can_lead and planner.is_current(p) and not planner.standing.is_set_aside(p)
        ]
        order = by_rendezvous_hash(core.run, core.term + 1, eligible)
        return order[0] if order else None

    def released(self, event: LeaseReleased) -> None:
        """The pen is laid down; everyone is told to look at the row."""
        core = self._core
        if self._leadership.is_leader and event.term == core.term:
            for peer in core.alive():
                core.send(peer, Handover(run=core.run, term=core.term))
            self._leadership.released(event.term)

    def commit_refused(self, event: CommitRefused) -> None:
        """The row may carry another term; nothing is decided until it is looked at."""
        self.commits.refused(event)
        self._leadership.lost(event.term)

    def contribution_rejected(self, sender: PeerId, message: ContributionRejected) -> None:
        """An owner cannot use a member's slice. Another's word makes the leader reduce all and see."""
        watch, peer = self.conductor.watch, message.peer
        if watch is None or (watch.plan.round, watch.plan.attempt) != (message.round, message.attempt):
            return
        member = watch.plan.member(peer)
        if sender not in {s.owner for s in watch.plan.shards} or member is None or not member.contributes:
            return
        name, reason = self._core.name(peer), message.reason
        if sender != self._core.me:
            text = f"{self._core.name(sender)} rejects the slice of {name}: the leader reduces all"
            self.conductor.amend(watch, Amendment(text, leader_reduces=True))
            return
        if peer != self._core.me and self.conductor.planner.standing.rejected(peer, reason):
            seconds = self._core.config.set_aside_s
            text = f"set aside for {seconds:g} s, rejected {REJECTIONS} times in a row, last: {reason}"
            self._core.note("peer", f"{name} is {text}")
        self.conductor.amend(watch, Amendment(f"without {name}: {reason}", rejected=frozenset({peer})))

    def finish_done(self) -> None:
        """The run is closed in the rendezvous: tell everyone, and stop."""
        core = self._core
        for peer in core.alive():
            core.send(peer, RunFinished(run=core.run, term=core.term))
        core.emit(StopTraining())
        core.finished = True
        core.emit(Finish("the run has reached its goal"))

    def database_failed(self, operation: str) -> None:
        """What could not be done is tried again later."""
        if operation in ("ReadProgress", "LoadFromRendezvous"):
            self.gathering.start_over()
        elif operation == "Commit":
            self.commits.failed()
        elif operation == "FinishRun":
            self.commits.finish_failed()

    def _roll_up(self) -> None:
        core, conductor = self._core, self.conductor
        if core.now < self._next_rollup:
            return
        self._next_rollup = core.now + core.config.rollup_s
        alive = set(core.alive())
        speed, why = conductor.planner.pace.believed, conductor.planner.standing.why
        offences = self._offences()
        mine = PeerStat(
            core.me, True, speed(core.me), core.version, core.digest, "", offences[core.me],
            conductor.spans_of(core.me), any(conductor.reaches(p) for p in alive),
        )  # fmt: skip
        others = [
            PeerStat(
                p,
                p in alive,
                speed(p),
                view.version,
                view.digest,
                why(p),
                offences[p],
                conductor.spans_of(p),
                conductor.reaches(p),
            )  # fmt: skip
            for p, view in core.peers.items()
            if p in alive or offences[p] or (view.heard_at is not None and not view.info.gone)
        ]
        core.emit(RollUp(core.term, (mine, *others)))

    def _offences(self) -> Counter[PeerId]:
        """What all say together; nothing is decided by it, since a peer may slander another."""
        counts = Counter(dict(self._core.offences))
        for view in self._core.peers.values():
            if view.beat is not None:
                for offender, count in view.beat.offences:
                    counts[offender] = min(counts[offender] + count, MOST_COUNTED)
        return counts
