"""What the rendezvous hands out: one frozen dataclass per kind of row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from p2pgan.protocol.ids import Digest, PeerId

RunState = Literal["active", "finished"]
PeerState = Literal["joining", "active", "left", "lost"]


class Dataset(TypedDict):
    """The images every peer of a run must have."""

    count: int
    resolution: int
    digest: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """One training job; ``version``, ``digest`` and ``images`` are those of its last commit."""

    id: int
    name: str
    state: RunState
    config: dict[str, object]
    dataset: Dataset
    schema_hash: Digest
    unit_images: int
    version: int
    digest: Digest
    images: int
    peers_generation: int


@dataclass(frozen=True, slots=True)
class PeerRegistration:
    """What a peer says about itself when it joins."""

    id: PeerId
    name: str
    device: str
    control_address: str
    bulk_address: str
    can_lead: bool
    instance: str = ""
    """Tells where its key is kept from a copy elsewhere; empty: anybody with the key may come instead."""


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One peer as the database knows it; speed, version and digest are the leader's last roll-up."""

    id: PeerId
    name: str
    device: str
    state: PeerState
    control_address: str
    bulk_address: str
    can_lead: bool
    images_per_s: float
    version: int
    digest: Digest
    last_seen_s: float
    """Seconds since its last sign."""

    @property
    def present(self) -> bool:
        """Whether it is in the run: neither left nor lost."""
        return self.state in ("joining", "active")


@dataclass(frozen=True, slots=True)
class LoginRow:
    """A peer and the login that registered it; or a login that was invited and has registered none."""

    login: str
    enabled: bool
    """False once it was revoked."""
    run: str | None
    peer: PeerId | None
    name: str | None
    state: PeerState | None
    last_seen_s: float | None
    """Seconds since the peer's last sign."""


@dataclass(frozen=True, slots=True)
class PeerList:
    """All peers of a run, those present first, as of one generation of the table."""

    generation: int
    peers: tuple[PeerRow, ...]


@dataclass(frozen=True, slots=True)
class PeerStat:
    """The leader's word on one peer in a roll-up."""

    peer: PeerId
    state: PeerState
    images_per_s: float
    version: int
    digest: Digest
    set_aside: str = ""
    """Why it gets no work in this term; empty if it does."""
    offences: int = 0
    """How often it sent what no peer may send, by all who refused something."""
    spans: int = 0
    """Handed to it in the round under way."""
    reached: bool = False
    """Whether it has answered a plan of this term: what is sent to it arrives."""


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The pen: ``expires_in_s`` is negative once it ran out; ``holder`` is None once it was released."""

    term: int
    holder: PeerId | None
    expires_in_s: float
    successor: PeerId | None
    finished: bool = False
    """Whether the run has reached its goal: nobody takes the pen any more."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewed lease, and the peers table's generation for free."""

    expires_in_s: float
    peers_generation: int


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """Positions of one epoch's permutation whose images are in committed weights, as ``[start, stop)``."""

    epoch: int
    done: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """The committed state of a run: its head, and the epochs from the first incomplete one, or the last."""

    term: int
    """Of the pen at that moment."""
    version: int
    digest: Digest
    made_in: int
    """Term of that version's round; 0 for the weights that a run begins with."""
    images: int
    epochs: tuple[EpochProgress, ...]


@dataclass(frozen=True, slots=True)
class UnitClaim:
    """A leased unit; ``attempt`` counts how often it was given out anew."""

    epoch: int
    unit: int
    attempt: int


@dataclass(frozen=True, slots=True)
class CommitOutcome:
    """Whether the version is in the database now, and why (not), in words for the log."""

    committed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A grid of samples of one version."""

    version: int
    png: bytes


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened; ``at`` is seconds since 1970 by the database's clock."""

    at: float
    peer: PeerId | None
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One committed version; ``at`` is seconds since 1970 by the database's clock."""

    version: int
    at: float
    digest: Digest
    term: int
    leader: PeerId | None
    """Who led its round; nobody did for version 0, nor for one that went back to another."""
    name: str
    """The leader's."""
    images: int
    """Counted up to here."""
    gained: int
    """Counted by this version."""
    stored: bool
    """Whether its weights are still kept."""
    peers: int
    """How many contributed."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The FID of a version's drawn images; ``docs/scores.md`` says what stands beside it."""

    version: int
    fid: float
    floor: float
    images: int
    extractor: str
    extractor_digest: Digest


class UnitCounts(TypedDict):
    """Units of all epochs begun; one whose lease ran out is open."""

    open: int
    leased: int
    done: int


class ScoreShown(TypedDict):
    """How near a version's drawn images are to real ones; lower is better."""

    version: int
    fid: float
    floor: float
    """The same between two halves of the real images."""
    images: int
    """Drawn, and real ones at most."""
    extractor: str


class SignalsShown(TypedDict):
    """How healthy the training behind a version is; None where nobody told. See docs/training.md."""

    version: int
    """The last one of which somebody told."""
    loss_g: float
    loss_d: float
    d_real: float
    d_fake: float
    sign_real: float | None
    sign_held_out: float | None
    r1: float | None
    grad_g: float | None
    grad_d: float | None
    diversity: float | None
    cosine: float | None
    drift: float | None


class TrafficShown(TypedDict):
    """Bytes that one peer sent and received for a version."""

    version: int
    sent: int
    received: int


class PeerStatus(TypedDict):
    """One peer in a status."""

    id: str
    name: str
    state: PeerState
    device: str
    images_per_s: float
    last_seen_s: float
    version: int
    digest: str
    set_aside: str
    """Why the leader gives it no work; empty if it does."""
    offences: int
    spans: int
    """In its hands in the round under way."""
    reached: bool
    """Whether it has answered a plan of this term: what is sent to it arrives."""
    signals: SignalsShown | None
    """Of the last version it contributed to."""
    traffic: TrafficShown | None
    """The same; None if it did not tell."""


class StatusSnapshot(TypedDict):
    """What ``p2pgan status --json`` prints; the keys are documented and stay."""

    run: str
    version: int
    committed_version: int
    digest: str
    term: int
    leader: str | None
    epoch: int
    images: int
    images_per_s: float
    last_commit_age_s: float
    units: UnitCounts
    peers: list[PeerStatus]
    signals: SignalsShown | None
    """Means over the images of the newest version."""
    traffic: TrafficShown | None
    """Of the newest version, as means over its contributors; None if nobody told."""
    best_version: int | None
    """The stored version with the lowest FID."""
    scores: list[ScoreShown]
    """The last hundred, oldest first."""
