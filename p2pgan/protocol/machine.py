"""The state machine of one peer: one event in, the effects it causes out.

It routes events to its parts: membership (whom I know), leadership (the lease), gathering (a new
leader's first question), conduct and commits (the leader's rounds), member (my part in a round),
catch-up (getting the current weights).
"""

from __future__ import annotations

from p2pgan.protocol.catchup import CatchUp
from p2pgan.protocol.commits import Commits
from p2pgan.protocol.conduct import Conductor
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import Effect, Finish, PeerStat, RollUp, SendChunk, SendWelcome, StopTraining
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
    LeaseRead,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
    LeaveRequested,
    PeersRead,
    ProgressRead,
    Received,
    Reduced,
    ReduceRejected,
    ResultArrived,
    SliceArrived,
    SnapshotFailed,
    SnapshotInstalled,
    StrangerSeen,
    Tick,
    TrainingDone,
)
from p2pgan.protocol.gathering import Gathering
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.leadership import Leadership, Role
from p2pgan.protocol.leaving import Leaver
from p2pgan.protocol.member import Member
from p2pgan.protocol.membership import Membership
from p2pgan.protocol.messages import (
    ChunkMissing,
    ChunkRequest,
    ContributionRejected,
    Handover,
    Heartbeat,
    Leaving,
    Phase,
    Plan,
    ResultRequest,
    RoundCommitted,
    RunFinished,
    SliceRequest,
    SnapshotRequest,
    Welcome,
)
from p2pgan.protocol.planning import by_rendezvous_hash


class Machine:
    """All rules of one peer. Not thread-safe: one caller hands it events one after the other."""

    def __init__(
        self, config: ProtocolConfig, me: PeerId, run: str, *, can_lead: bool = True, trains: bool = True
    ) -> None:
        self.core = Core(config, me, run, can_lead, trains)
        self.membership = Membership(self.core)
        self.leadership = Leadership(self.core)
        self.member = Member(self.core)
        self.catchup = CatchUp(self.core)
        self.gathering = Gathering(self.core, self.member, self.catchup)
        self.commits = Commits(self.core)
        self.conductor = Conductor(self.core, self.member)
        self.leaver = Leaver(self.core, self.leadership, self.member, self.commits)
        self._seen_term = 0
        self._behind_since: float | None = None
        self._behind_at = (0, "")
        self._lost = False
        self._next_beat = 0.0
        self._last_beat: Heartbeat | None = None
        self._next_rollup = 0.0

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Advance to ``now`` (seconds on this peer's monotonic clock) and take one event."""
        core = self.core
        core.now = now
        core.effects = []
        if core.finished:
            return []
        self._dispatch(event)
        if isinstance(event, Tick):
            self._tick()
        self._notice_term()
        if self.leadership.is_leader:
            self._lead()
        if core.leaving and not core.finished:
            self.leaver.step(self._successor())
        self._beat()
        return core.effects

    # -- events ------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        match event:
            case Received():
                self._received(event)
            case TrainingDone():
                self.member.training_done(event)
            case SliceArrived():
                self.member.slice_arrived(event)
            case Reduced():
                self.member.reduced(event)
            case ReduceRejected():
                self._reduce_rejected(event)
            case ResultArrived():
                self.member.result_arrived(event)
            case CandidateReady():
                self.member.candidate_ready(event)
            case ChunkArrived():
                self.catchup.chunk_arrived(event)
            case SnapshotInstalled():
                self.catchup.installed(event)
                self.member.installed()
                self._lost = False
            case SnapshotFailed():
                self.catchup.failed(event)
                if self.leadership.is_leader:
                    self.gathering.start_over()
            case PeersRead():
                self.membership.read(event)
            case StrangerSeen():
                self.membership.want()
            case LeaveRequested():
                self.leaver.request()
            case Tick():
                pass
            case _:
                self._database_event(event)

    def _database_event(self, event: Event) -> None:
        match event:
            case LeaseRead():
                self.leadership.lease_read(event)
            case LeaseAcquired():
                self.leadership.acquired(event)
                self._term_begins()
            case LeaseRefused():
                self.leadership.refused()
            case LeaseRenewed():
                self.leadership.renewed(event)
                self.membership.hint(event.peers_generation)
            case LeaseLost():
                self.leadership.lost(event.term)
            case LeaseReleased():
                self._released(event)
            case ProgressRead():
                self.gathering.progress_read(event)
            case CommitDone():
                self.commits.done(event)
            case CommitRefused():
                if self.commits.refused(event):
                    self.leadership.lost(event.term)
            case FinishDone():
                self._finish_done()
            case DatabaseFailed():
                self._database_failed(event.operation)
            case _:
                raise AssertionError(f"no rule for {event}")

    def _database_failed(self, operation: str) -> None:
        self.leadership.failed(operation)
        if operation == "ReadPeers":
            self.membership.failed()
        elif operation == "ReadProgress":
            self.gathering.failed()
        elif operation == "Commit":
            self.commits.failed()
        elif operation == "LoadFromRendezvous":
            self.catchup.load_failed()
            if self.leadership.is_leader:
                self.gathering.start_over()
        elif operation == "FinishRun":
            self.commits.finish_failed()

    def _reduce_rejected(self, event: ReduceRejected) -> None:
        core = self.core
        core.note("round", f"slice of {core.name(event.peer)} rejected: {event.reason}")
        message = ContributionRejected(
            run=core.run,
            term=event.term,
            round=event.round,
            attempt=event.attempt,
            peer=event.peer,
            reason=event.reason[:200],
        )
        if core.leads:
            self._contribution_rejected(core.me, message)
        elif core.leader is not None:
            core.send(core.leader, message)

    # -- messages ----------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        core, sender, message = self.core, event.sender, event.message
        if message.run != core.run or sender not in core.peers:
            self.membership.want()
            return
        self.membership.heard(sender, message if isinstance(message, Heartbeat) else None)
        if message.term > core.term:
            self.leadership.look()
        match message:
            case Heartbeat():
                self._heartbeat(sender, message)
            case ChunkRequest():
                core.emit(SendChunk(sender, message.version, message.digest, message.index))
            case Leaving():
                self._peer_leaves(sender)
            case Handover() | RunFinished():
                self.leadership.look()
            case _ if message.term == core.term:
                self._of_this_term(sender, message)
            case _:
                pass

    def _of_this_term(self, sender: PeerId, message: object) -> None:
        core = self.core
        from_leader = sender == core.leader
        match message:
            case Plan() if from_leader:
                self.member.planned(message)
            case RoundCommitted() if from_leader:
                self.member.committed(message)
            case Welcome() if from_leader:
                self.catchup.welcome(sender, message)
            case Welcome() if self.leadership.role is Role.GATHERING:
                self.gathering.welcome(sender, message)
            case SnapshotRequest() if from_leader and core.has_weights:
                core.emit(SendWelcome(sender, core.term, tuple(core.ledger), (core.me,)))
            case ChunkMissing():
                self.catchup.chunk_missing(sender, message)
            case SliceRequest():
                self.member.slice_requested(sender, message)
            case ResultRequest():
                self.member.result_requested(sender, message)
            case ContributionRejected() if core.leads:
                self._contribution_rejected(sender, message)
            case _:
                pass

    def _heartbeat(self, sender: PeerId, beat: Heartbeat) -> None:
        core = self.core
        if beat.term != core.term:
            return
        if sender == core.leader:
            self.membership.hint(beat.peers_generation)
            core.committed_version = max(core.committed_version, min(beat.committed_version, core.version))
            core.prune_ledger()
        elif self.leadership.role is Role.LEADING:
            self.conductor.heartbeat(sender, beat)

    def _peer_leaves(self, sender: PeerId) -> None:
        self.core.note("peer", f"{self.core.name(sender)} leaves")
        self.membership.left(sender)
        if self.leadership.role is Role.LEADING:
            self.conductor.gone(sender)
        elif sender == self.core.leader:
            self.leadership.look()

    def _contribution_rejected(self, sender: PeerId, message: ContributionRejected) -> None:
        watch = self.conductor.watch
        if watch is None or (watch.plan.round, watch.plan.attempt) != (message.round, message.attempt):
            return
        owners = {s.owner for s in watch.plan.shards}
        if sender in owners and watch.plan.member(message.peer) is not None:
            name = self.core.name(message.peer)
            self.conductor.amend(watch, {message.peer}, set(), f"without {name}: {message.reason}")

    # -- time --------------------------------------------------------------------------------

    def _tick(self) -> None:
        self.membership.tick()
        self.leadership.tick()
        self.member.tick()
        self.catchup.tick()
        if not self.leadership.is_leader:
            self._compare_with_leader()

    def _compare_with_leader(self) -> None:
        """Behind its leader for too long, or on other weights, a peer fetches a snapshot."""
        core = self.core
        view = core.peers.get(core.leader or "")
        beat = view.beat if view is not None else None
        if beat is None or beat.term != core.term or beat.phase == Phase.CATCHING_UP:
            return
        if not core.has_weights:
            self._lost = True
            return
        if (beat.version, beat.digest) == (core.version, core.digest):
            self._behind_since, self._lost = None, False
            return
        here = (core.version, core.digest)
        if self._behind_since is None or here != self._behind_at:
            self._behind_since, self._behind_at = core.now, here
        elif core.now - self._behind_since > core.config.stuck_s and not self._lost:
            self._lost = True
            text = f"on version {core.version}, the leader on {beat.version}: a snapshot is needed"
            core.note("catch-up", text)

    def _notice_term(self) -> None:
        if self.core.term != self._seen_term:
            self._seen_term = self.core.term
            self._behind_since = None
            self.member.term_changed()

    # -- leading -----------------------------------------------------------------------------

    def _term_begins(self) -> None:
        self._lost = False
        self.gathering.begin()
        self.commits.begin()
        self.membership.want()

    def _lead(self) -> None:
        core = self.core
        if self.leadership.releasing:
            return
        if self.leadership.role is Role.GATHERING:
            if self.gathering.tick():
                assert self.gathering.progress is not None
                self.leadership.role = Role.LEADING
                self.conductor.begin(self.gathering.progress)
                core.note("leader", f"term {core.term} goes on from version {core.version}")
            return
        if not self.leadership.may_decide:
            return
        if not self._at_rest():
            self.conductor.tick()
            if self.conductor.watch is None and not self._at_rest():
                self.conductor.plan_next()
        self.commits.tick()
        self._roll_up()

    def _at_rest(self) -> bool:
        """Between two rounds: is there a reason not to plan the next one?"""
        core, conductor = self.core, self.conductor
        if conductor.watch is not None:
            return False
        if self._goal_reached():
            self.commits.urgent = True
            if self.commits.waiting == 0:
                self.commits.finish()
            return True
        if core.leaving:
            return True
        every = core.config.rotate_every
        successor = self._successor()
        if every and self.commits.done_in_term >= every and not self.commits.under_way and successor:
            core.note("leader", f"{every} commits in this term: the pen goes to {core.name(successor)}")
            self.leadership.release(successor)
            return True
        return False

    def _goal_reached(self) -> bool:
        goal = self.core.config.goal_versions
        if goal is not None and self.core.version >= goal:
            return True
        return self.conductor.pool.exhausted and not self.conductor.pool.holders()

    def _successor(self) -> PeerId | None:
        """The next eligible peer by rendezvous hashing: alive, on these weights."""
        core = self.core
        eligible = [
            p
            for p in core.alive()
            if core.peers[p].info.can_lead
            and (core.peers[p].version, core.peers[p].digest) == (core.version, core.digest)
        ]
        order = by_rendezvous_hash(core.run, core.term + 1, eligible)
        return order[0] if order else None

    def _released(self, event: LeaseReleased) -> None:
        core = self.core
        if not self.leadership.is_leader or event.term != core.term:
            return
        for peer in core.alive():
            core.send(peer, Handover(run=core.run, term=core.term))
        self.leadership.released(event.term)

    def _finish_done(self) -> None:
        core = self.core
        for peer in core.alive():
            core.send(peer, RunFinished(run=core.run, term=core.term))
        core.emit(StopTraining())
        core.finished = True
        core.emit(Finish("the run has reached its goal"))

    def _roll_up(self) -> None:
        core = self.core
        if core.now < self._next_rollup:
            return
        self._next_rollup = core.now + core.config.rollup_s
        alive = set(core.alive())
        mine = PeerStat(core.me, True, self.conductor.speed(core.me), core.version, core.digest)
        others = [
            PeerStat(p, p in alive, self.conductor.speed(p), view.version, view.digest)
            for p, view in sorted(core.peers.items())
            if p in alive or (view.heard_at is not None and not view.info.gone)
        ]
        core.emit(RollUp(core.term, (mine, *others)))

    # -- heartbeats --------------------------------------------------------------------------

    def _beat(self) -> None:
        """To the leader, or as leader to everyone: at every change, and every ``heartbeat_s``."""
        core = self.core
        if core.finished:
            return
        beat = self._heartbeat_now()
        if beat == self._last_beat and core.now < self._next_beat:
            return
        self._last_beat = beat
        self._next_beat = core.now + core.config.heartbeat_s
        if self.leadership.is_leader:
            for peer, view in sorted(core.peers.items()):
                if not view.info.gone or core.heard_within(peer, 4 * core.config.silence_s):
                    core.send(peer, beat)
        elif core.leader is not None:
            core.send(core.leader, beat)

    def _heartbeat_now(self) -> Heartbeat:
        core, member = self.core, self.member
        plan, voted = member.plan, member.voted
        phase, round_number, attempt = member.phase, plan.round if plan else 0, plan.attempt if plan else 0
        if self.leadership.role is Role.GATHERING:
            phase = Phase.CATCHING_UP
        elif not self.leadership.is_leader and (self._lost or not core.has_weights or self.catchup.busy):
            phase = Phase.CATCHING_UP
            round_number, attempt = core.fetching or 0, int(self.catchup.busy)
        return Heartbeat(
            run=core.run,
            term=core.term,
            version=core.version,
            digest=core.digest,
            phase=phase,
            round=round_number,
            attempt=attempt,
            candidate=voted.digest if voted else "",
            held=member.held,
            images_per_s=member.images_per_s,
            committed_version=core.committed_version,
            peers_generation=max(0, core.peers_generation),
            lease_held=self.leadership.trusted,
        )
