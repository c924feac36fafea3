"""What a peer is doing at this moment, for whoever looks at its terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from p2pgan.peer.database import Database
from p2pgan.peer.facts import Bar, Standing, Swarm
from p2pgan.peer.lending import Lending
from p2pgan.peer.training import TrainingThread
from p2pgan.protocol.ids import CHUNK_BYTES
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import Phase

_DOING = {
    Phase.IDLE: "waiting for work",
    Phase.TRAINING: "training",
    Phase.EXCHANGING: "exchanging",
    Phase.VERIFIED: "waiting for the others",
}


class Observer:
    """Looks at a peer's parts; changes nothing."""

    def __init__(
        self,
        name: str,
        machine: Machine,
        training: TrainingThread,
        database: Database,
        lending: Lending,
        board: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = f"{machine.core.run} · {name}"
        self._machine, self._training, self._database = machine, training, database
        self._lending, self._board, self._clock = lending, tuple(board), clock
        self._committed: int | None = None
        self._commit_seen_at: float | None = None

    def standing(self) -> Standing:
        """How things are now."""
        core = self._machine.core
        if self._committed is not None and core.committed_version != self._committed:
            self._commit_seen_at = self._clock()
        self._committed = core.committed_version
        since = None if self._commit_seen_at is None else self._clock() - self._commit_seen_at
        leader = None if core.leader is None else core.name(core.leader)
        swarm = Swarm(
            doing=self._doing(),
            peers=len(core.alive()) + 1,
            leader=leader,
            leads=core.leads,
            term=core.term,
            version=core.version,
            committed=core.committed_version,
            since_commit_s=since,
        )
        return Standing(self._title, tuple(self._bars()), swarm, self._board)

    def _doing(self) -> str:
        core = self._machine.core
        if core.leaving:
            return "leaving"
        if self._machine.catchup.busy:
            return "fetching weights"
        if not core.has_weights:
            return "waiting for weights"
        if core.leader is None:
            return "waiting for a leader"
        return _DOING[self._machine.member.standing()[2]]

    def _bars(self) -> Iterator[Bar]:
        core, progress = self._machine.core, self._training.progress
        if progress is not None and self._machine.member.held:
            yield Bar(f"round {core.version + 1}", progress.done, progress.images, "images")
            yield Bar(f"unit {progress.unit}", progress.done_of_unit, progress.span_images, "images")
        fetch = self._machine.catchup.fetch
        if fetch is not None:
            manifest = fetch.welcome.manifest
            here = (len(manifest.chunks) - len(fetch.missing)) * CHUNK_BYTES
            yield Bar(f"↓ version {manifest.version}", min(here, manifest.length), manifest.length, "bytes")
        if (staging := self._database.staging) is not None:
            yield staging
        for lent in self._lending.under_way():
            yield Bar(f"↑ to {core.name(lent.to)}", lent.sent, lent.length, "bytes")
