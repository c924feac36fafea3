"""How a peer without the current weights gets them: chunks from several donors, checked one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import BeginSnapshot, InstallSnapshot, LoadFromRendezvous
from p2pgan.protocol.events import ChunkArrived, SnapshotFailed, SnapshotInstalled
from p2pgan.protocol.ids import PeerId, SnapshotManifest
from p2pgan.protocol.messages import ChunkMissing, ChunkRequest, Welcome
from p2pgan.protocol.texts import counted

MOST_IN_FLIGHT = 8
"""Requests outstanding to one donor."""
QUICK_S = 1.0
SLOW_S = 4.0
"""A donor is asked for one chunk more at a time after a quick one, for one less after a slow one."""
PATIENCE_S = 20.0
"""A donor that sends no chunk for so long is left: 1 MiB over half a megabit per second takes 17 s."""


@dataclass
class Donor:
    """Whom chunks are asked of, at a pace that suits the way between."""

    peer: PeerId
    heard_at: float
    """When a chunk of it arrived last, or when nothing was asked of it."""
    window: int = 1
    asked: dict[int, float] = field(default_factory=dict)
    """chunk -> when"""

    def gave(self, index: int, now: float) -> None:
        """A chunk has arrived."""
        asked_at = self.asked.pop(index, None)
        self.heard_at = now
        if asked_at is not None and now - asked_at < QUICK_S:
            self.window = min(self.window + 1, MOST_IN_FLIGHT)
        elif asked_at is not None and now - asked_at > SLOW_S:
            self.window = max(self.window - 1, 1)


@dataclass
class Fetch:
    """A snapshot on its way."""

    welcome: Welcome
    donors: dict[PeerId, Donor]
    missing: list[int]
    progress_at: float = 0.0
    installing: bool = False

    def next_chunk(self, now: float) -> int | None:
        """The first one neither here nor asked for; in the end one that another donor is slow with."""
        asked = {index: at for donor in self.donors.values() for index, at in donor.asked.items()}
        fresh = (index for index in self.missing if index not in asked)
        overdue = (index for index in self.missing if now - asked.get(index, now) > SLOW_S)
        return next(chain(fresh, overdue), None)

    def arrived(self, sender: PeerId, index: int, now: float) -> None:
        """A chunk is here, whoever else was asked for it as well."""
        for donor in self.donors.values():
            if donor.peer == sender:
                donor.gave(index, now)
            else:
                donor.asked.pop(index, None)
        if index in self.missing:
            self.missing.remove(index)
            self.progress_at = now


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
        if self.fetch is not None and core.now - self.fetch.progress_at < PATIENCE_S:
            return
        known = [p for p in dict.fromkeys((*message.donors, sender)) if p != core.me and p in core.peers]
        donors = {peer: Donor(peer, core.now) for peer in known}
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
        for donor in fetch.donors.values():
            if not donor.asked:
                donor.heard_at = core.now
            while len(donor.asked) < donor.window:
                index = fetch.next_chunk(core.now)
                if index is None or index in donor.asked:
                    break
                donor.asked[index] = core.now
                self._ask_for(donor, fetch.welcome.manifest, index)

    def _ask_for(self, donor: Donor, manifest: SnapshotManifest, index: int) -> None:
        core = self._core
        request = ChunkRequest(
            run=core.run, term=core.term, version=manifest.version, digest=manifest.digest, index=index
        )
        core.send(donor.peer, request)

    def chunk_arrived(self, event: ChunkArrived) -> None:
        fetch = self.fetch
        if fetch is None or not self._concerns(event.version, event.digest):
            return
        if event.valid:
            fetch.arrived(event.sender, event.index, self._core.now)
        else:
            self._core.note("catch-up", f"{self._core.name(event.sender)} sent a chunk with another digest")
            self._without(event.sender)
        self._next()

    def chunk_missing(self, sender: PeerId, message: ChunkMissing) -> None:
        if self.fetch is not None and self._concerns(message.version, message.digest):
            name = self._core.name(sender)
            self._core.note("catch-up", f"{name} does not have version {message.version} any more")
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
        fetch.donors.pop(donor, None)

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
        late = [d for d in fetch.donors.values() if d.asked and core.now - d.heard_at > PATIENCE_S]
        for donor in late:
            core.note("catch-up", f"{core.name(donor.peer)} does not answer")
            self._without(donor.peer)
        self._ask()
