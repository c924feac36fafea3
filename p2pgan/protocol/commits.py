"""From committed rounds to the database: at most one commit under way, everything in order."""

from __future__ import annotations

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import Commit, FinishRun
from p2pgan.protocol.events import CommitDone, CommitRefused

RETRY_S = 1.0
SHARE = 0.1
"""Of the time, commits take no more, unless they are longer than this share of ``LONGEST_PAUSE_S``."""
LONGEST_PAUSE_S = 30.0
"""From one to the next, ``SHARE`` or not: what is not in the database is lost if all peers go at once.

A commit may seem long as well because the leader slept meanwhile, or the database did.
"""


class Commits:
    """The leader's queue of versions that are not in the database yet."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.under_way = False
        self._began_at = self._next_at = 0.0
        self._retry_at = 0.0
        self.done_in_term = 0
        self.finishing = False
        self.urgent = False
        """Do not wait for ``commit_s``: the leader leaves or the goal is reached."""

    def begin(self) -> None:
        """A term begins."""
        self.under_way = self.finishing = self.urgent = False
        self._next_at = self._retry_at = 0.0
        self.done_in_term = 0
        self._core.metrics.clear()

    @property
    def waiting(self) -> int:
        """Versions not in the database."""
        return self._core.version - self._core.committed_version

    def tick(self) -> None:
        core = self._core
        records = core.uncommitted()
        too_soon = core.now < self._retry_at or (core.now < self._next_at and not self.urgent)
        if self.under_way or not records or too_soon:
            return
        self.under_way = True
        self._began_at = core.now
        self._next_at = core.now + core.config.commit_s
        core.emit(Commit(core.term, records, tuple(core.metrics.values())))

    def done(self, event: CommitDone) -> None:
        core = self._core
        if self.under_way:  # else it is of an earlier term
            pause = min((core.now - self._began_at) / SHARE, LONGEST_PAUSE_S)
            self._next_at = max(self._next_at, self._began_at + pause)
        self.under_way = False
        if event.version > core.committed_version:
            core.committed_version = event.version
            core.prune_ledger()
            self.done_in_term += 1
            core.note("commit", f"version {event.version} is in the database")

    def refused(self, event: CommitRefused) -> None:
        """The database did not take it; nothing changed there."""
        self.under_way = False
        self._core.note("commit", f"refused: {self._core.with_names(event.reason)}")

    def failed(self) -> None:
        """The database could not be reached; everything waits for the next try."""
        self.under_way = False
        self._retry_at = self._core.now + RETRY_S

    def finish(self) -> None:
        """The goal is reached and everything is committed: close the run."""
        if not self.finishing and self._core.now >= self._retry_at:
            self.finishing = True
            self._core.emit(FinishRun(self._core.term))

    def finish_failed(self) -> None:
        self.finishing = False
        self._retry_at = self._core.now + RETRY_S
