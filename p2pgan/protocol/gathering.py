"""A new leader's first question: which weights does the run go on from?

It compares the committed state with what the peers report, and takes the newest weights whose
ledger leads back to the committed ones; whoever cannot show that is passed over.
"""

from __future__ import annotations

from p2pgan.protocol.catchup import PATIENCE_S, CatchUp
from p2pgan.protocol.core import Core, PeerView
from p2pgan.protocol.effects import ReadProgress
from p2pgan.protocol.events import ProgressRead
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.member import Member
from p2pgan.protocol.messages import SnapshotRequest, Welcome

RETRY_S = 1.0
HUNG_UP_S = 10.0
"""Longer ago it says nothing: who is back speaks to leaders alone, and this peer was none."""
ANSWER_S = 5.0
"""A peer ahead of the new leader has so long to answer with a Welcome."""


def leads_back(message: Welcome, progress: ProgressRead) -> bool:
    """Whether the ledger is an unbroken chain from the committed version to the offered one."""
    ledger, offered = message.ledger, message.manifest
    if not ledger or (ledger[-1].version, ledger[-1].digest) != (offered.version, offered.digest):
        return False
    for before, after in zip(ledger, ledger[1:], strict=False):
        if after.version != before.version + 1 or after.parent_digest != before.digest:
            return False
        if after.term < before.term:
            return False
    following = (r for r in ledger if r.version == progress.version + 1)
    return any(r.parent_digest == progress.digest and r.term >= progress.made_in for r in following)


class Gathering:
    """Runs from the acquisition of the lease until the new leader has the right weights."""

    def __init__(self, core: Core, member: Member, catchup: CatchUp) -> None:
        self._core, self._member, self._catchup = core, member, catchup
        self.progress: ProgressRead | None = None
        self._since = 0.0
        self._reading = False
        self._next_read = 0.0
        self._passed_over: set[PeerId] = set()
        self._asked: tuple[PeerId, float] | None = None

    def begin(self) -> None:
        self.progress = None
        self._since = self._core.now
        self._reading = False
        self._next_read = 0.0
        self._passed_over = set()
        self._asked = None
        self._catchup.give_up("this peer leads now")

    def progress_read(self, event: ProgressRead) -> None:
        self._reading = False
        self.progress = event
        self._core.committed_version = event.version

    def failed(self) -> None:
        self._reading = False
        self._next_read = self._core.now + RETRY_S

    def start_over(self) -> None:
        """The weights could not be loaded: look at the committed state again, after a while."""
        self.progress = None
        self.failed()

    def tick(self) -> bool:
        """True once this peer has the weights to go on from."""
        core = self._core
        if self.progress is None:
            if not self._reading and core.now >= self._next_read:
                self._reading = True
                core.emit(ReadProgress())
            return False
        if not self._everyone_reported() and core.now - self._since < core.config.gather_s:
            return False
        return self._settle(self.progress)

    def _reports(self) -> dict[PeerId, tuple[int, str]]:
        core = self._core
        views = {p: core.peers[p] for p in core.alive()}
        return {
            p: (v.version, v.digest)
            for p, v in views.items()
            if v.beat is not None and v.beat.term == core.term and v.digest
        }

    def _everyone_reported(self) -> bool:
        core = self._core
        if core.peers_read_at < self._since:
            return False  # the table as it was before this term may call somebody gone who is back
        alive = core.alive()
        there = {p for p, view in core.peers.items() if self._is_there(view)}
        # Who is heard counts, even if the table as it was read last calls it gone.
        expected = there | set(alive)
        reported = {p for p in alive if (beat := core.peers[p].beat) is not None and beat.term == core.term}
        return expected <= reported

    def _is_there(self, view: PeerView) -> bool:
        """Who hung up of late is not, even if the table does not know yet: it is most likely the leader that
        this one comes after. Who cannot lead only orders images, and never reports."""
        ended = view.link_ended_at
        hung_up = ended is not None and self._core.now - ended <= HUNG_UP_S
        return not view.info.gone and not hung_up and view.info.can_lead

    def _settle(self, progress: ProgressRead) -> bool:
        core = self._core
        ahead = {
            p: report
            for p, report in self._reports().items()
            if p not in self._passed_over and report[0] > max(core.version, progress.version)
        }
        mine_stands = core.extends(progress.version, progress.digest, progress.made_in)
        if self._catchup.busy:
            return self._watch()
        if ahead and mine_stands and self._apply_known(ahead, progress):
            return False
        if ahead:
            self._ask(max(ahead, key=lambda p: (ahead[p], p)))
            return False
        if mine_stands:
            return True
        self._catchup.load_committed(progress.version)
        return False

    def _apply_known(self, ahead: dict[PeerId, tuple[int, str]], progress: ProgressRead) -> bool:
        """Another peer has applied the round this one only verified: the same bytes, so apply them."""
        core, candidate = self._core, self._member.candidate
        if candidate is None or candidate.plan.base_digest != core.digest:
            return False
        newest = core.record_of(core.version) if core.version > progress.version else None
        if candidate.plan.term < (progress.made_in if newest is None else newest.term):
            return False
        if (candidate.plan.round, candidate.digest) not in ahead.values():
            return False
        record = candidate.record(core.images)
        core.note("leader", f"version {record.version} was committed by the last leader: applied")
        self._member.apply(record)
        return True

    def _ask(self, peer: PeerId) -> None:
        core = self._core
        if self._asked is None or self._asked[0] != peer:
            self._asked = (peer, core.now)
            core.note("leader", f"{core.name(peer)} is ahead: asking it for its weights")
            core.send(peer, SnapshotRequest(run=core.run, term=core.term))
        elif core.now - self._asked[1] > ANSWER_S:
            self._pass_over(peer, "no answer")

    def _watch(self) -> bool:
        if self._catchup.fetch is not None and self._asked is not None:
            fetch = self._catchup.fetch
            stuck = self._core.now - fetch.progress_at > PATIENCE_S
            if not fetch.installing and (stuck or self._asked[0] not in self._core.alive()):
                self._catchup.give_up("no progress")
                self._pass_over(self._asked[0], "no chunks")
        return False

    def _pass_over(self, peer: PeerId, reason: str) -> None:
        self._core.note("leader", f"going on without the weights of {self._core.name(peer)}: {reason}")
        self._passed_over.add(peer)
        self._asked = None

    def welcome(self, sender: PeerId, message: Welcome) -> None:
        """The answer of a peer that is ahead."""
        progress = self.progress
        if progress is None or self._asked is None or self._asked[0] != sender:
            return
        if leads_back(message, progress):
            self._catchup.welcome(sender, message)
        else:
            self._pass_over(sender, "its ledger does not lead back to the committed version")
