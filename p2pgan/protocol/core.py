"""What all parts of a peer's state machine share: who I am, what I have, whom I know."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.effects import Effect, Note, Send
from p2pgan.protocol.events import PeerInfo
from p2pgan.protocol.ids import PeerId, SnapshotManifest, VersionRecord
from p2pgan.protocol.messages import AnyMessage, Heartbeat
from p2pgan.protocol.metrics import RoundMetric
from p2pgan.protocol.texts import SHORT_ID


@dataclass
class PeerView:
    """What this peer knows of another."""

    info: PeerInfo
    heard_at: float | None = None
    link_ended_at: float | None = None
    """When a connection to it ended, if it was not heard since."""
    beat: Heartbeat | None = None
    version: int = 0
    digest: str = ""
    left: bool = False
    """It said that it leaves."""


@dataclass
class Core:
    """State that several parts read; each field is written by the part its comment names."""

    config: ProtocolConfig
    me: PeerId
    run: str
    can_lead: bool
    trains: bool
    now: float = 0.0
    effects: list[Effect] = field(default_factory=list)

    # leadership
    term: int = 0
    leader: PeerId | None = None
    # member and catch-up; version 0 with an empty digest: no weights yet
    version: int = 0
    digest: str = ""
    images: int = 0
    version_since: float = 0.0
    """When this peer came to its version."""
    ledger: list[VersionRecord] = field(default_factory=list)
    committed_version: int = 0
    metrics: dict[int, RoundMetric] = field(default_factory=dict)
    """By version: how the rounds went that this peer conducted in its term and that are not committed."""
    fetching: int | None = None
    """Version of the snapshot on its way."""
    # membership
    peers: dict[PeerId, PeerView] = field(default_factory=dict)
    """In the order of their identities."""
    shared_names: frozenset[str] = frozenset()
    """Names that several peers have."""
    peers_generation: int = -1
    peers_read_at: float = -inf
    offences: tuple[tuple[PeerId, int], ...] = ()
    """Who sent this peer what no peer may send, how often; the worst first."""
    uplink: float = 0.0
    """Bytes per second that this peer could send of late; 0 is unknown."""
    walled: bool = False
    """Others are here, and none of them can dial this peer: nothing that they say gets here."""
    leaving: bool = False
    leaving_since: float = 0.0
    finished: bool = False

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def note(self, kind: str, text: str) -> None:
        self.emit(Note(kind, text))

    def send(self, to: PeerId, message: AnyMessage) -> None:
        if to != self.me:
            self.emit(Send(to, message))

    def name(self, peer: PeerId) -> str:
        """What people call a peer, for texts; its short identity where that says nothing or too much."""
        if peer == self.me:
            return "this peer"
        view, short = self.peers.get(peer), peer[:SHORT_ID]
        name = view.info.name if view is not None else ""
        if not name:
            return short
        return f"{name} ({short})" if name in self.shared_names else name

    def with_names(self, text: str) -> str:
        """``text`` of the database, with names in place of whole identities."""
        for peer in (self.me, *self.peers):
            text = text.replace(peer, self.name(peer))
        return text

    @property
    def has_weights(self) -> bool:
        return bool(self.digest)

    @property
    def leads(self) -> bool:
        return self.leader == self.me

    def heard_within(self, peer: PeerId, seconds: float) -> bool:
        view = self.peers.get(peer)
        return view is not None and view.heard_at is not None and self.now - view.heard_at <= seconds

    def alive(self) -> list[PeerId]:
        """Other peers whose heartbeats arrive, in a fixed order."""
        since, ended_since = self.now - self.config.silence_s, self.now - self.config.link_ended_s
        return [
            peer
            for peer, view in self.peers.items()
            if view.beat is not None
            and view.heard_at is not None
            and view.heard_at >= since
            and (view.link_ended_at is None or view.link_ended_at >= ended_since)
        ]

    def record_of(self, version: int) -> VersionRecord | None:
        if not self.ledger:
            return None
        index = version - self.ledger[0].version
        return self.ledger[index] if 0 <= index < len(self.ledger) else None

    def advance(self, record: VersionRecord) -> None:
        """The weights are now those of ``record``, which follows on the current ones."""
        self.ledger.append(record)
        self.version, self.digest, self.images = record.version, record.digest, record.images
        self.version_since = self.now
        self.prune_ledger()

    def adopt(self, manifest: SnapshotManifest, ledger: tuple[VersionRecord, ...]) -> None:
        """The weights are now those of a snapshot; ``ledger`` ends at its version or is empty."""
        self.version, self.digest, self.images = manifest.version, manifest.digest, manifest.images
        self.version_since = self.now
        self.ledger = list(ledger)

    def prune_ledger(self) -> None:
        """Keep what is not committed, and a few more for members that missed them."""
        first_kept = min(self.committed_version + 1, self.version - self.config.recent_records + 1)
        while self.ledger and self.ledger[0].version < first_kept:
            self.ledger.pop(0)
        for version in [v for v in self.metrics if v <= self.committed_version]:
            del self.metrics[version]

    def uncommitted(self) -> tuple[VersionRecord, ...]:
        return tuple(r for r in self.ledger if r.version > self.committed_version)

    def extends(self, version: int, digest: str, made_in: int) -> bool:
        """Whether the current weights come from committed (``version``, ``digest``) by the ledger.

        The same training gives the same weights in a later term ``made_in``; what followed on them
        before it was given up then.
        """
        if not self.has_weights or self.version < version:
            return False
        if self.version == version:
            return self.digest == digest
        following = self.record_of(version + 1)
        return following is not None and following.parent_digest == digest and following.term >= made_in
