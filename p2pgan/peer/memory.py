"""The journal as a peer writes it: where it cannot be written, the peer goes on without."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from p2pgan.errors import ConfigError
from p2pgan.journal import Journal, RoundLine, ScoreLine, UnitLine
from p2pgan.peer.log import Log
from p2pgan.protocol.ids import SnapshotManifest, VersionRecord


class Memory:
    """One run's part of the journal. May be shared between threads; no call raises because of a disk."""

    def __init__(self, journal: Journal, run: str, log: Log) -> None:
        self._journal, self._run, self._log = journal, run, log
        self._lock = threading.Lock()
        self._failing = False

    def add_unit(self, line: UnitLine) -> None:
        """Note a trained unit."""
        self._write(partial(self._journal.add_unit, self._run, line))

    def add_round(self, line: RoundLine) -> None:
        """Note the end of a round."""
        self._write(partial(self._journal.add_round, self._run, line))

    def add_version(self, record: VersionRecord) -> None:
        """Note a version that this peer's weights have become."""
        self._write(partial(self._journal.add_version, self._run, record))

    def add_score(self, line: ScoreLine) -> None:
        """Note how good the drawn images of a version are."""
        self._write(partial(self._journal.add_score, self._run, line))

    def add_event(self, kind: str, text: str) -> None:
        """Note that something happened."""
        self._write(partial(self._journal.add_event, self._run, kind, text))

    def keep_commit(
        self, records: Sequence[VersionRecord], manifest: SnapshotManifest, blob: memoryview
    ) -> None:
        """Keep a commit that waits for the database; those before it are in its records."""

        def keep() -> None:
            kept = self._journal.put_commit(self._run, records, manifest, [blob])
            self._forget_commits(but=kept)

        self._write(keep)

    def forget_commits(self) -> None:
        """Nothing waits for the database any more."""
        self._write(self._forget_commits)

    def _forget_commits(self, but: int | None = None) -> None:
        while (oldest := self._journal.peek_commit(self._run)) is not None and oldest.id != but:
            self._journal.remove_commit(oldest.id)

    def _write(self, write: Callable[[], object]) -> None:
        try:
            write()
        except ConfigError as error:
            self._say(True, f"{error}; training goes on without it")
        else:
            self._say(False, "the journal can be written again")

    def _say(self, failing: bool, text: str) -> None:
        with self._lock:
            changed, self._failing = failing != self._failing, failing
        if changed:
            self._log.note("journal", text)
