"""What a peer writes down about itself. ``at`` is always seconds since 1970 by the peer's own clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2pgan.protocol.ids import SnapshotManifest, VersionRecord


@dataclass(frozen=True, slots=True)
class UnitLine:
    """Spans of one unit, trained by this peer; losses and judgements are means over its steps."""

    epoch: int
    unit: int
    images: int
    seconds: float
    loss_g: float
    loss_d: float
    d_real: float
    d_fake: float
    images_per_s: float
    skipped: int | None = None
    """Steps left out because they were not finite. This and what follows: None in older journals."""
    sign_real: float | None = None
    """Mean sign of D on real images."""
    sign_held_out: float | None = None
    r1: float | None = None
    grad_g: float | None = None
    grad_d: float | None = None
    diversity: float | None = None


@dataclass(frozen=True, slots=True)
class RoundLine:
    """How a round went for this peer."""

    round: int
    attempt: int
    term: int
    members: int
    images: int
    """Images of all contributions."""
    seconds: float
    """From the version before."""
    outcome: str
    """``committed``, or in a few words why not."""
    cosine: float | None = None
    """Of this peer's contribution with the mean; None if it made none, or in an older journal."""
    drift: float | None = None
    """Distance of the two, in lengths of the mean."""


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """A version that this peer scored."""

    version: int
    fid: float
    floor: float
    """The same between two halves of the real images."""
    images: int
    """Drawn, and real ones at most."""
    extractor: str
    extractor_digest: str


@dataclass(frozen=True, slots=True)
class ScoreEntry:
    """A score line with its time."""

    at: float
    line: ScoreLine


@dataclass(frozen=True, slots=True)
class UnitEntry:
    """A unit line with its time."""

    at: float
    line: UnitLine


@dataclass(frozen=True, slots=True)
class RoundEntry:
    """A round line with its time."""

    at: float
    line: RoundLine


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version this peer applied. After a crash of everyone the same number can come again."""

    at: float
    record: VersionRecord


@dataclass(frozen=True, slots=True)
class EventEntry:
    """Something that happened."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class WaitingCommit:
    """A commit that is not in the database yet; ``snapshot`` is the file with the manifest's bytes."""

    id: int
    records: tuple[VersionRecord, ...]
    manifest: SnapshotManifest
    snapshot: Path
