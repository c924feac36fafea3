"""How a peer without the current weights gets them: chunks from several donors, checked one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import BeginSnapshot, InstallSnapshot, LoadFromRendezvous
from p2pgan.protocol.events import ChunkArrived, SnapshotFailed, SnapshotInstalled
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import ChunkMissing, ChunkRequest, Welcome
from p2pgan.protocol.texts import counted

CHUNKS_IN_FLIGHT = 4
"""Requests outstanding to one donor."""


@dataclass
class Fetch:
    """A snapshot on its way."""

    welcome: Welcome
    donors: list[PeerId]
    missing: list[int]
    asked: dict[int, tuple[PeerId, float]] = field(default_factory=dict)
    """chunk -> (donor, when asked)"""
    progress_at: float = 0.0
    installing: bool = False


class CatchUp:
    """Fetches at most one snapshot at a time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.fetch: Fetch | None = None
        self.loading = False
        """The rendezvous is asked for the committed weights."""

    @property
    def busy(self) -> bool:
        return self.fetch is not None or self.loading

    def welcome(self, sender: PeerId, message: Welcome) -> None:
        """Begin to fetch, unless it is under way or pointless."""
        core, manifest = self._core, message.manifest
        if manifest.schema_hash != core.config.schema_hash:
            core.note("catch-up", f"{core.name(sender)} offers weights of another schema: refused")
            return
        if self.loading or (core.version, core.digest) == (manifest.version, manifest.digest):
            return
        if self.fetch is not None and core.now - self.fetch.progress_at < core.config.stuck_s:
            return
        donors = [p for p in dict.fromkeys((*message.donors, sender)) if p != core.me and p in core.peers]
        self.fetch = Fetch(message, donors, list(range(len(manifest.chunks))), progress_at=core.now)
        core.fetching = manifest.version
        core.note(
            "catch-up",
            f"fetching version {manifest.version}, {manifest.length / 1e6:.1f} MB "
            f"from {counted(len(donors), 'donor')}",
        )
        core.emit(BeginSnapshot(manifest))
        self._ask()

    def _ask(self) -> None:
        fetch, core = self.fetch, self._core
        if fetch is None:
            return
        if not fetch.donors:
            self.give_up("no donor is left")
            return
        manifest = fetch.welcome.manifest
        for donor in fetch.donors:
            room = CHUNKS_IN_FLIGHT - sum(1 for d, _ in fetch.asked.values() if d == donor)
            open_chunks = [c for c in fetch.missing if c not in fetch.asked][: max(0, room)]
            for index in open_chunks:
                fetch.asked[index] = (donor, core.now)
                request = ChunkRequest(
                    run=core.run,
                    term=core.term,
                    version=manifest.version,
                    digest=manifest.digest,
                    index=index,
                )
                core.send(donor, request)

    def chunk_arrived(self, event: ChunkArrived) -> None:
        fetch = self.fetch
        if fetch is None or not self._concerns(event.version, event.digest):
            return
        if event.index not in fetch.missing:
            return
        fetch.asked.pop(event.index, None)
        if event.valid:
            fetch.missing.remove(event.index)
            fetch.progress_at = self._core.now
        else:
            self._core.note("catch-up", f"{self._core.name(event.sender)} sent a chunk with another digest")
            self._without(event.sender)
        self._next()

    def chunk_missing(self, sender: PeerId, message: ChunkMissing) -> None:
        if self.fetch is not None and self._concerns(message.version, message.digest):
            self._without(sender)
            self._next()

    def _concerns(self, version: int, digest: str) -> bool:
        fetch = self.fetch
        if fetch is None or fetch.installing:
            return False
        manifest = fetch.welcome.manifest
        return (manifest.version, manifest.digest) == (version, digest)

    def _without(self, donor: PeerId) -> None:
        fetch = self.fetch
        assert fetch is not None
        fetch.donors = [d for d in fetch.donors if d != donor]
        fetch.asked = {c: asked for c, asked in fetch.asked.items() if asked[0] != donor}

    def _next(self) -> None:
        fetch = self.fetch
        assert fetch is not None
        if fetch.missing:
            self._ask()
        else:
            fetch.installing = True
            self._core.emit(InstallSnapshot(fetch.welcome.manifest, fetch.welcome.ledger))

    def load_committed(self, version: int) -> None:
        """The rendezvous is the donor of last resort, and the first one of a run's first leader."""
        if not self.loading:
            self._end()
            self.loading = True
            self._core.note("catch-up", f"loading committed version {version} from the rendezvous")
            self._core.emit(LoadFromRendezvous(version))

    def give_up(self, reason: str) -> None:
        """Drop the fetch; the next heartbeat asks for another welcome."""
        if self.fetch is not None:
            self._core.note("catch-up", f"snapshot given up: {reason}")
            self._end()

    def _end(self) -> None:
        self.fetch, self.loading, self._core.fetching = None, False, None

    def installed(self, event: SnapshotInstalled) -> None:
        self._end()
        self._core.adopt(event.manifest, event.ledger)
        self._core.note("catch-up", f"version {event.manifest.version} loaded")

    def failed(self, event: SnapshotFailed) -> None:
        self._core.note("catch-up", f"version {event.version} could not be loaded: {event.reason}")
        self._end()

    def load_failed(self) -> None:
        """The database could not be reached; whoever asked asks again."""
        self._end()

    def tick(self) -> None:
        """A donor that does not answer is left."""
        fetch, core = self.fetch, self._core
        if fetch is None or fetch.installing:
            return
        late = {d for d, at in fetch.asked.values() if core.now - at > core.config.stuck_s}
        for donor in sorted(late):
            core.note("catch-up", f"{core.name(donor)} does not answer")
            self._without(donor)
        if late:
            self._ask()
