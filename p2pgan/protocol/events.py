"""What can happen to a peer, as its state machine sees it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from p2pgan.protocol.ids import PeerId, SnapshotManifest, VersionRecord
from p2pgan.protocol.messages import AnyMessage
from p2pgan.protocol.metrics import Agreement, Losses, Traffic


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class Received:
    """A message from an authenticated, registered peer."""

    sender: PeerId
    message: AnyMessage


@dataclass(frozen=True)
class PeerInfo:
    """A row of the peers table."""

    id: PeerId
    can_lead: bool
    gone: bool
    """It left, or was not seen for long."""
    name: str = ""
    """What people call it; empty if nobody said."""


@dataclass(frozen=True)
class PeersRead:
    """The peers table as of one generation."""

    generation: int
    peers: tuple[PeerInfo, ...]

    @cached_property
    def by_id(self) -> dict[PeerId, PeerInfo]:
        return {info.id: info for info in self.peers}

    @cached_property
    def shared_names(self) -> frozenset[str]:
        """Names that several peers have."""
        return frozenset(
            name for name, count in Counter(info.name for info in self.peers).items() if count > 1
        )


@dataclass(frozen=True)
class OffencesCounted:
    """Who has sent this peer what no peer may send, and how often so far; the worst first."""

    counts: tuple[tuple[PeerId, int], ...]


@dataclass(frozen=True)
class UplinkMeasured:
    """How fast this peer could send of late, to all others together."""

    bytes_per_s: float


@dataclass(frozen=True)
class WallSeen:
    """Whether others let this peer in and none of them can dial it, as behind a firewall."""

    stands: bool


@dataclass(frozen=True)
class LinkEnded:
    """The connection to a peer ended: its process did, or the network let go of it. It is dialled again."""

    peer: PeerId


@dataclass(frozen=True)
class StrangerSeen:
    """A key that is not registered tried to connect: perhaps a new peer."""


@dataclass(frozen=True)
class LeaseRead:
    """The lease row. ``finished`` says that the run has reached its goal."""

    term: int
    holder: PeerId | None
    expires_in_s: float
    successor: PeerId | None
    finished: bool = False


@dataclass(frozen=True)
class LeaseAcquired:
    """This peer holds the pen, in a new term."""

    term: int


@dataclass(frozen=True)
class LeaseRefused:
    """Another peer has the lease."""


@dataclass(frozen=True)
class LeaseRenewed:
    """This peer still holds the pen."""

    term: int
    peers_generation: int


@dataclass(frozen=True)
class LeaseLost:
    """The row carries another term."""

    term: int


@dataclass(frozen=True)
class LeaseReleased:
    """The pen is laid down."""

    term: int


@dataclass(frozen=True)
class EpochDone:
    """Positions of one epoch that are in committed weights."""

    epoch: int
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ProgressRead:
    """The committed state: version, digest, and what is done of the first incomplete epoch and all
    after it (of the last one if all are complete).

    Epochs below the lowest one named are complete.
    """

    term: int
    """Of the lease when this was read."""
    version: int
    digest: str
    epochs: tuple[EpochDone, ...]
    made_in: int = 0
    """Term of the round that made the version; 0 for version 0."""


@dataclass(frozen=True)
class CommitDone:
    """Everything up to this version is in the database."""

    version: int


@dataclass(frozen=True)
class CommitRefused:
    """The rendezvous did not take the commit; nothing changed there."""

    term: int
    reason: str


@dataclass(frozen=True)
class FinishDone:
    """The run is marked as finished."""


@dataclass(frozen=True)
class DatabaseFailed:
    """An operation (the effect's name) could not reach the database."""

    operation: str


@dataclass(frozen=True)
class PartTrained:
    """Elements ``[start, stop)`` of the contribution of the last ``Train`` are what they will be."""

    ticket: int
    start: int
    stop: int


@dataclass(frozen=True)
class TrainingDone:
    """All spans handed over by the last ``Train`` are trained; the contribution is ready."""

    ticket: int
    images_per_s: float
    losses: Losses | None = None


@dataclass(frozen=True)
class SliceArrived:
    """A member's slice of a shard that this peer owns is in the store."""

    sender: PeerId
    term: int
    round: int
    first_attempt: int
    shard: int


@dataclass(frozen=True)
class Reduced:
    """This peer has reduced a shard over the contributors of an attempt."""

    term: int
    round: int
    attempt: int
    shard: int


@dataclass(frozen=True)
class ReduceRejected:
    """A contributor's slice cannot enter a mean (not finite, wrong length)."""

    term: int
    round: int
    attempt: int
    shard: int
    peer: PeerId
    reason: str


@dataclass(frozen=True)
class ResultArrived:
    """A reduced shard is in the store."""

    sender: PeerId
    term: int
    round: int
    attempt: int
    shard: int


@dataclass(frozen=True)
class CandidateReady:
    """What this peer would have after the round."""

    term: int
    round: int
    attempt: int
    digest: str
    agreement: Agreement | None = None
    """How this peer's contribution stands to the mean."""
    traffic: Traffic | None = None
    """What came and went since the candidate that became the version before."""


@dataclass(frozen=True)
class ChunkArrived:
    """A chunk of the snapshot being fetched; ``valid`` if its bytes have the named digest."""

    sender: PeerId
    version: int
    digest: str
    index: int
    valid: bool


@dataclass(frozen=True)
class SnapshotInstalled:
    """Weights of ``manifest`` are now this peer's; its own unaveraged training is dropped."""

    manifest: SnapshotManifest
    ledger: tuple[VersionRecord, ...]


@dataclass(frozen=True)
class DeviationArrived:
    """How far another's weights are from the version is in the store."""

    sender: PeerId
    term: int
    version: int
    step: int


@dataclass(frozen=True)
class SnapshotFailed:
    """The snapshot could not be loaded or did not have the digest it claims."""

    version: int
    reason: str


@dataclass(frozen=True)
class LeaveRequested:
    """The person at the keyboard wants this peer to leave cleanly."""


Event = (
    Tick
    | Received
    | PeersRead
    | OffencesCounted
    | UplinkMeasured
    | WallSeen
    | LinkEnded
    | StrangerSeen
    | LeaseRead
    | LeaseAcquired
    | LeaseRefused
    | LeaseRenewed
    | LeaseLost
    | LeaseReleased
    | ProgressRead
    | CommitDone
    | CommitRefused
    | FinishDone
    | DatabaseFailed
    | PartTrained
    | TrainingDone
    | SliceArrived
    | Reduced
    | ReduceRejected
    | ResultArrived
    | CandidateReady
    | ChunkArrived
    | DeviationArrived
    | SnapshotInstalled
    | SnapshotFailed
    | LeaveRequested
)
