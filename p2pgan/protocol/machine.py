"""The state machine of one peer: one event in, the effects it causes out.

It routes events to its parts: membership (whom I know), leadership (the lease), leading (gathering,
rounds and commits while I hold the pen), member (my part in a round), catch-up (getting the current
weights), heartbeats and leaving.
"""

from __future__ import annotations

from p2pgan.protocol.catchup import CatchUp
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import Effect, SendChunk, SendWelcome
from p2pgan.protocol.events import (
    CandidateReady,
    ChunkArrived,
    CommitDone,
    CommitRefused,
    DatabaseFailed,
    DeviationArrived,
    Event,
    FinishDone,
    LeaseAcquired,
    LeaseLost,
    LeaseRead,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
    LeaveRequested,
    LinkEnded,
    OffencesCounted,
    PartTrained,
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
    UplinkMeasured,
    WallSeen,
)
from p2pgan.protocol.heartbeats import Heartbeats
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.leadership import Leadership, Role
from p2pgan.protocol.leading import Leading
from p2pgan.protocol.leaving import Leaver
from p2pgan.protocol.member import Member
from p2pgan.protocol.membership import Membership
from p2pgan.protocol.messages import (
    MAX_OFFENDERS,
    ChunkMissing,
    ChunkRequest,
    ContributionRejected,
    Handover,
    Heartbeat,
    Leaving,
    Plan,
    ResultRequest,
    RoundCommitted,
    RunFinished,
    SliceRequest,
    SnapshotRequest,
    Welcome,
)
from p2pgan.protocol.mixing import Mixing

UNSAID = (PartTrained, SliceArrived, ResultArrived, Reduced, DeviationArrived)
"""Most events of a round. They change nothing of what a heartbeat says."""


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
        self.leading = Leading(self.core, self.leadership, self.member, self.catchup)
        self.mixing = Mixing(self.core, self.leadership, self.member)
        self.heartbeats = Heartbeats(self.core, self.leadership, self.member, self.catchup)
        self.leaver = Leaver(self.core, self.leadership, self.member, self.leading.commits)
        self._seen_term = 0

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Advance to ``now`` (seconds on this peer's monotonic clock) and take one event."""
        core = self.core
        core.now = now
        core.effects = []
        if core.finished:
            return []
        self._dispatch(event)
        if self.core.term != self._seen_term:
            self._seen_term = self.core.term
            self.member.term_changed()
        if self.leadership.is_leader:
            self.leading.step()
        if core.leaving and not core.finished:
            self.leaver.step(self.leading.successor())
        if not core.finished and not isinstance(event, UNSAID):
            self.heartbeats.beat()
        return core.effects

    # -- events ------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        match event:
            case Received():
                self._received(event)
            case Tick():
                self._tick()
            case PartTrained():
                self.member.part_trained(event)
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
            case DeviationArrived():
                self.mixing.arrived(event)
            case ChunkArrived():
                self.catchup.chunk_arrived(event)
            case SnapshotInstalled():
                self.catchup.installed(event)
                self.member.installed()
                self.heartbeats.found()
            case SnapshotFailed():
                self.catchup.failed(event)
                if self.leadership.is_leader:
                    self.leading.gathering.start_over()
            case PeersRead():
                self.membership.read(event)
            case LinkEnded(peer):
                self.membership.link_ended(peer)
            case StrangerSeen():
                self.membership.want()
            case OffencesCounted(counts):
                self.core.offences = counts[:MAX_OFFENDERS]
            case UplinkMeasured(bytes_per_s):
                self.core.uplink = bytes_per_s
            case WallSeen(stands):
                self.core.walled = stands
            case LeaveRequested():
                self.leaver.request()
            case _:
                self._database_event(event)

    def _database_event(self, event: Event) -> None:
        match event:
            case LeaseRead():
                self.leadership.lease_read(event)
            case LeaseAcquired():
                self.leadership.acquired(event)
                self.heartbeats.found()
                self.leading.term_begins()
                self.membership.want()
            case LeaseRefused():
                self.leadership.refused()
            case LeaseRenewed():
                self.leadership.renewed(event)
                self.membership.hint(event.peers_generation)
            case LeaseLost():
                self.leadership.lost(event.term)
            case LeaseReleased():
                self.leading.released(event)
            case ProgressRead():
                self.leading.progress_read(event)
            case CommitDone():
                self.leading.commits.done(event)
            case CommitRefused():
                self.leading.commit_refused(event)
            case FinishDone():
                self.leading.finish_done()
            case DatabaseFailed(operation):
                self._database_failed(operation)
            case _:
                raise AssertionError(f"no rule for {event}")

    def _database_failed(self, operation: str) -> None:
        self.leadership.failed(operation)
        if operation == "ReadPeers":
            self.membership.failed()
        if operation == "LoadFromRendezvous":
            self.catchup.load_failed()
        self.leading.database_failed(operation)

    def _tick(self) -> None:
        self.membership.tick()
        self.leadership.tick()
        self.member.tick()
        self.mixing.tick()
        self.catchup.tick()
        if not self.leadership.is_leader:
            self.heartbeats.compare_with_leader()
            if self.leadership.leader_is_silent():
                self.membership.look_around()

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
            self.leading.contribution_rejected(core.me, message)
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
            case ChunkMissing():
                self.catchup.chunk_missing(sender, message)
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
                self.leading.gathering.welcome(sender, message)
            case SnapshotRequest() if from_leader and core.has_weights:
                core.emit(SendWelcome(sender, core.term, tuple(core.ledger), (core.me,)))
            case SliceRequest():
                self.member.slice_requested(sender, message)
            case ResultRequest():
                self.member.result_requested(sender, message)
            case ContributionRejected() if core.leads:
                self.leading.contribution_rejected(sender, message)
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
            self.leading.conductor.heartbeat(sender, beat)

    def _peer_leaves(self, sender: PeerId) -> None:
        self.core.note("peer", f"{self.core.name(sender)} leaves")
        self.membership.left(sender)
        if self.leadership.role is Role.LEADING:
            self.leading.conductor.gone(sender)
        elif sender == self.core.leader:
            self.leadership.look()
