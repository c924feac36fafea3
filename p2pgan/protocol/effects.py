"""What the state machine wants done. The edge performs effects in order and answers with events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from p2pgan.protocol.ids import PeerId, SnapshotManifest, Span, VersionRecord
from p2pgan.protocol.messages import AnyMessage, Shard
from p2pgan.protocol.metrics import RoundMetric


@dataclass(frozen=True)
class Send:
    """Send a message; it may be lost."""

    to: PeerId
    message: AnyMessage


@dataclass(frozen=True)
class Note:
    """A decision and its reason, for the log, the journal and the events table."""

    kind: str
    text: str


@dataclass(frozen=True)
class ReadLease:
    """-> LeaseRead."""


@dataclass(frozen=True)
class AcquireLease:
    """-> LeaseAcquired or LeaseRefused."""


@dataclass(frozen=True)
class RenewLease:
    """-> LeaseRenewed or LeaseLost."""

    term: int


@dataclass(frozen=True)
class ReleaseLease:
    """-> LeaseReleased or LeaseLost."""

    term: int
    successor: PeerId | None


@dataclass(frozen=True)
class ReadPeers:
    """-> PeersRead; the transport's allow-list follows the table."""


@dataclass(frozen=True)
class ReadProgress:
    """-> ProgressRead."""


@dataclass(frozen=True)
class UnitClaim:
    """One unit: positions ``[start, stop)`` of an epoch."""

    epoch: int
    unit: int
    start: int
    stop: int


@dataclass(frozen=True)
class ClaimUnits:
    """Record that the leader hands these units out. Fenced; nothing waits for it."""

    term: int
    units: tuple[UnitClaim, ...]


@dataclass(frozen=True)
class Commit:
    """Write the current weights and these records as one fact -> CommitDone or CommitRefused."""

    term: int
    records: tuple[VersionRecord, ...]
    metrics: tuple[RoundMetric, ...] = ()
    """How those of them went that this leader conducted; written afterwards, and nothing waits for it."""


@dataclass(frozen=True)
class FinishRun:
    """Mark the run as finished -> FinishDone or LeaseLost."""

    term: int


@dataclass(frozen=True)
class PeerStat:
    """What the leader knows of a peer."""

    peer: PeerId
    alive: bool
    images_per_s: float
    version: int
    digest: str
    set_aside: str = ""
    """Why it gets no work in this term; empty if it does."""
    offences: int = 0
    """How often it sent what no peer may send, by all whose heartbeats say so."""
    spans: int = 0
    """Handed to it in the round under way."""
    reached: bool = False
    """Whether it has answered a plan of this term: what is sent to it arrives."""


@dataclass(frozen=True)
class RollUp:
    """Write everyone's last sign in one statement. Fenced; nothing waits for it."""

    term: int
    stats: tuple[PeerStat, ...]


@dataclass(frozen=True)
class Train:
    """Drop unaveraged training, then train these spans from the current weights -> TrainingDone."""

    ticket: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class TrainAhead:
    """The spans of the last ``Train`` are done: train these on top of them -> TrainingDone.

    A second one drops what the first one trained.
    """

    ticket: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class StopTraining:
    """Drop unaveraged training and idle."""


@dataclass(frozen=True)
class ShareDeviation:
    """Send how far this peer's weights are from the version, as they are now."""

    term: int
    version: int
    step: int
    to: tuple[PeerId, ...]


@dataclass(frozen=True)
class Mix:
    """Move towards another peer's deviation, from where this peer was when it shared its own.

    ``share`` is the other's part of its group's push-sum weight, within (0, 1).
    """

    sender: PeerId
    version: int
    step: int
    share: float


@dataclass(frozen=True)
class SendSlice:
    """Send this peer's contribution to a shard to its owner (possibly itself)."""

    term: int
    round: int
    first_attempt: int
    index: int
    shard: Shard
    codec: str


@dataclass(frozen=True)
class Reduce:
    """Mean over exactly these contributors, weighted by images -> Reduced or ReduceRejected."""

    term: int
    round: int
    attempt: int
    first_attempt: int
    index: int
    shard: Shard
    codec: str
    weights: tuple[tuple[PeerId, int], ...]


@dataclass(frozen=True)
class SendResult:
    """Send the bytes of a reduced shard (to oneself as well)."""

    to: PeerId
    term: int
    round: int
    attempt: int
    index: int


@dataclass(frozen=True)
class BuildCandidate:
    """Current weights plus all reduced shards of an attempt -> CandidateReady."""

    term: int
    round: int
    attempt: int
    shards: tuple[Shard, ...]
    codec: str


class Kept(StrEnum):
    """What becomes of a peer's own training when the weights change; what is kept goes on on top of them."""

    ALL = "all"
    """Nothing of it is in the new weights."""
    AHEAD = "ahead"
    """They hold its spans, not yet what it trained ahead."""
    NOTHING = "nothing"


@dataclass(frozen=True)
class Apply:
    """The candidate becomes the current weights."""

    record: VersionRecord
    round_term: int
    attempt: int
    kept: Kept


@dataclass(frozen=True)
class ForgetRounds:
    """Slices, results and candidates of rounds below this one are not needed any more."""

    below: int


@dataclass(frozen=True)
class SendWelcome:
    """Send a Welcome for the current weights; the edge adds the manifest."""

    to: PeerId
    term: int
    ledger: tuple[VersionRecord, ...]
    donors: tuple[PeerId, ...]


@dataclass(frozen=True)
class SendChunk:
    """Send one chunk of a snapshot, or ChunkMissing."""

    to: PeerId
    version: int
    digest: str
    index: int


@dataclass(frozen=True)
class BeginSnapshot:
    """Make room for the chunks of this snapshot; those already there are kept."""

    manifest: SnapshotManifest


@dataclass(frozen=True)
class InstallSnapshot:
    """All chunks are in: check and load -> SnapshotInstalled or SnapshotFailed."""

    manifest: SnapshotManifest
    ledger: tuple[VersionRecord, ...]


@dataclass(frozen=True)
class LoadFromRendezvous:
    """Load the committed weights -> SnapshotInstalled or SnapshotFailed."""

    version: int


@dataclass(frozen=True)
class Finish:
    """This peer is done."""

    reason: str


Effect = (
    Send
    | Note
    | ReadLease
    | AcquireLease
    | RenewLease
    | ReleaseLease
    | ReadPeers
    | ReadProgress
    | ClaimUnits
    | Commit
    | FinishRun
    | RollUp
    | Train
    | TrainAhead
    | StopTraining
    | ShareDeviation
    | Mix
    | SendSlice
    | Reduce
    | SendResult
    | BuildCandidate
    | Apply
    | ForgetRounds
    | SendWelcome
    | SendChunk
    | BeginSnapshot
    | InstallSnapshot
    | LoadFromRendezvous
    | Finish
)
