"""Leaving cleanly: what is under way is finished or given back, the pen is handed over."""

from __future__ import annotations

from p2pgan.protocol.commits import Commits
from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import Finish, StopTraining
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.leadership import Leadership
from p2pgan.protocol.member import Member
from p2pgan.protocol.messages import Leaving


class Leaver:
    """Takes a peer out of the run, step by step, within a bounded time."""

    def __init__(self, core: Core, leadership: Leadership, member: Member, commits: Commits) -> None:
        self._core, self._leadership, self._member, self._commits = core, leadership, member, commits

    def request(self) -> None:
        core = self._core
        if not core.leaving:
            core.leaving = True
            core.leaving_since = core.now
            core.note("leaving", "asked to leave")

    def step(self, successor: PeerId | None) -> None:
        """Leave as soon as nobody waits for this peer."""
        core = self._core
        waited = core.now - core.leaving_since
        # Without a leader no round is under way: whoever takes the pen plans anew.
        awaited = self._member.exchanging and core.leader is not None
        if awaited and waited < core.config.leave_s:
            return
        if not self._leadership.is_leader:
            self._go("left")
        elif self._leadership.releasing:
            return
        elif self._commits.waiting and waited < 2 * core.config.leave_s:
            # A successor may be about to leave as well.
            self._commits.urgent = True
        elif waited < 3 * core.config.leave_s:
            self._leadership.release(successor)
        else:
            self._go("left without handing over: the database cannot be reached")

    def _go(self, reason: str) -> None:
        core = self._core
        core.emit(StopTraining())
        for peer in core.alive():
            core.send(peer, Leaving(run=core.run, term=core.term))
        core.finished = True
        core.emit(Finish(reason))
