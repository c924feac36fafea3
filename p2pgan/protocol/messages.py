"""Everything one peer may say to another, as validated types.

Messages are idempotent and may be lost, repeated, delayed or reordered between connections: what
matters is repeated in heartbeats or asked for again. Every message names its run and the term its
sender believes in; the sender's identity is the authenticated key of the connection, never a field.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Annotated

import msgspec

from p2pgan.protocol.codecs import CodecName
from p2pgan.protocol.ids import Count, Digest, PeerId, SnapshotManifest, Span, VersionRecord
from p2pgan.protocol.metrics import Losses, Traffic

Name = Annotated[str, msgspec.Meta(max_length=200)]
Rate = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]
MAX_MEMBERS = 4096
MAX_SPANS = 65_536
MAX_OFFENDERS = 16
MAX_NAMED = 16
MOST_IMAGES = 64
"""Images of a batch that is drawn for somebody else: as many as a leader draws to show a version."""


class Phase(StrEnum):
    """What a peer is doing, as it reports it."""

    CATCHING_UP = "catching_up"
    IDLE = "idle"
    TRAINING = "training"
    EXCHANGING = "exchanging"
    VERIFIED = "verified"


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages."""

    run: Name
    """The run's name."""
    term: Count
    """That the sender believes in; 0 from who only orders images."""


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """Every half second and at each change: a peer to its leader, the leader to everyone.

    A leader says what followers go by: its version, its lease, whether it gathers; the rest is left out.
    A peer in ``catching_up`` names the version it fetches in ``round``; ``attempt`` 0 asks for a
    ``Welcome``.
    """

    version: Count
    """Of the sender's weights."""
    digest: Digest
    """Of these weights."""
    phase: Phase
    round: Count = 0
    """That it is in, by its plan; 0 in none."""
    attempt: Count = 0
    candidate: Digest = ""
    """Digest of what this peer would have after (round, attempt): its vote."""
    held: Annotated[tuple[Span, ...], msgspec.Meta(max_length=MAX_SPANS)] = ()
    """Spans it trained or trains on that are in no version yet."""
    images_per_s: Rate = 0.0
    """How fast it trains, as measured; 0 if it does not know."""
    trains: bool = True
    """Whether it wants spans; otherwise it only owns shards and follows."""
    committed_version: Count = 0
    """The newest that the sender knows to be in the database."""
    peers_generation: Count = 0
    """Of the table of peers as the sender has read it; who has an older one reads it anew."""
    lease_held: bool = False
    """Only from a leader: its lease is renewed in time."""
    offences: Annotated[tuple[tuple[PeerId, Count], ...], msgspec.Meta(max_length=MAX_OFFENDERS)] = ()
    """To the leader: who sent the sender what no peer may send, how often; the worst if there are many."""
    uplink: Rate = 0.0
    """Bytes per second that it could send of late, to all others together; 0 if it does not know."""
    asked_in_vain: Annotated[tuple[PeerId, ...], msgspec.Meta(max_length=MAX_NAMED)] = ()
    """To the leader: who sent nothing, though asked twice for slices, or for results of a committed round."""
    losses: Losses | None = None
    """To the leader: what the last training that is done showed; in a vote, that of the contribution."""
    traffic: Traffic | None = None
    """To the leader: the bytes that its last vote took."""


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One member of a round.

    A contributor sends its vector over ``spans``. A rider only receives: it joins, is too slow for
    this round (``spans`` then are what it goes on with), or merely owns shards.
    """

    peer: PeerId
    spans: Annotated[tuple[Span, ...], msgspec.Meta(max_length=MAX_SPANS)]
    contributes: bool
    ahead: Annotated[tuple[Span, ...], msgspec.Meta(max_length=MAX_SPANS)] = ()
    """What it trains once ``spans`` are done, while the round is exchanged; its spans of the next round."""


class Shard(msgspec.Struct, frozen=True, array_like=True):
    """Elements ``[start, stop)`` of the flat vector, reduced by ``owner``."""

    owner: PeerId
    start: Count
    stop: Count


class Plan(Message, frozen=True, kw_only=True, tag="plan", dict=True):
    """The leader's word on who does what in a round. A higher attempt replaces a lower one.

    ``round`` is the version the round would make: ``base_version + 1``.
    """

    round: Count
    attempt: Count
    first_attempt: Count
    """Contributions made since this attempt still stand; slices are keyed by it."""
    base_version: Count
    """Of the weights that are trained from."""
    base_digest: Digest
    """Of these weights; who has others fetches them."""
    members: Annotated[tuple[Member, ...], msgspec.Meta(max_length=MAX_MEMBERS)]
    shards: Annotated[tuple[Shard, ...], msgspec.Meta(max_length=MAX_MEMBERS)]
    """Without gaps from the vector's start to its end; a shard's number is its place here, from 0."""
    codec: CodecName
    """Of slices and results."""
    reason: Name
    """Why there is this plan, for people."""

    def member(self, peer: PeerId) -> Member | None:
        return self._by_peer.get(peer)

    @cached_property
    def _by_peer(self) -> dict[PeerId, Member]:
        # The first entry of a peer counts.
        return {m.peer: m for m in reversed(self.members)}

    @cached_property
    def contributors(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.contributes)


class RoundCommitted(Message, frozen=True, kw_only=True, tag="round_committed"):
    """All surviving members agree: apply. The record enters everyone's ledger."""

    record: VersionRecord


class SliceRequest(Message, frozen=True, kw_only=True, tag="slice_request"):
    """An owner misses the asked member's slice of a shard."""

    round: Count
    shard: Count


class ResultRequest(Message, frozen=True, kw_only=True, tag="result_request"):
    """A member misses the reduced shard of the asked owner."""

    round: Count
    attempt: Count
    shard: Count


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The leader to a peer whose weights are not the current ones: what to fetch, and from whom."""

    manifest: SnapshotManifest
    ledger: Annotated[tuple[VersionRecord, ...], msgspec.Meta(max_length=4096)]
    """Records of the versions not yet in the database, up to the manifest's."""
    donors: Annotated[tuple[PeerId, ...], msgspec.Meta(max_length=MAX_MEMBERS)]


class SnapshotRequest(Message, frozen=True, kw_only=True, tag="snapshot_request"):
    """Asks a peer for the Welcome of the newest version it has (a new leader to one ahead of it)."""


class ChunkRequest(Message, frozen=True, kw_only=True, tag="chunk_request"):
    """Asks a donor for one chunk of a version's snapshot."""

    version: Count
    digest: Digest
    index: Count


class ChunkMissing(Message, frozen=True, kw_only=True, tag="chunk_missing"):
    """The donor does not have that version any more."""

    version: Count
    digest: Digest
    index: Count


class ContributionRejected(Message, frozen=True, kw_only=True, tag="contribution_rejected"):
    """An owner to the leader: this member's slice cannot enter a mean."""

    round: Count
    attempt: Count
    peer: PeerId
    reason: Name


class RunFinished(Message, frozen=True, kw_only=True, tag="run_finished"):
    """A hint: the run has reached its goal; the rendezvous confirms it."""


class Leaving(Message, frozen=True, kw_only=True, tag="leaving"):
    """The sender leaves; its unfinished spans are given back."""


class Handover(Message, frozen=True, kw_only=True, tag="handover"):
    """A hint to the successor named in the lease row: the pen is free for you."""


class DrawRequest(Message, frozen=True, kw_only=True, tag="draw_request"):
    """Asks a peer to draw one batch of an order; the images come as a blob."""

    order: Count
    """Drawn at random by who orders, so that no answer to another order is taken for one to this."""
    version: Count
    digest: Digest
    """Of the averaged generator, float32 (P_G,)."""
    seed: Count
    label: Count | None = None
    """Class of all images; None draws all classes in turn, if there are any."""
    truncation: Annotated[float, msgspec.Meta(gt=0.0, le=1e9)] | None = None
    first: Count
    """Index of the batch's first image."""
    images: Annotated[int, msgspec.Meta(ge=1, le=MOST_IMAGES)]


class DrawRefused(Message, frozen=True, kw_only=True, tag="draw_refused"):
    """A peer does not draw a batch that it was asked for."""

    order: Count
    first: Count
    busy: bool
    """Whether it may be asked again later; otherwise it draws nothing of this order."""
    reason: Name


AnyMessage = (
    Heartbeat
    | Plan
    | RoundCommitted
    | SliceRequest
    | ResultRequest
    | Welcome
    | SnapshotRequest
    | ChunkRequest
    | ChunkMissing
    | ContributionRejected
    | Leaving
    | RunFinished
    | Handover
    | DrawRequest
    | DrawRefused
)


class BlobKind(StrEnum):
    """What a bulk transfer carries."""

    SLICE = "slice"
    RESULT = "result"
    CHUNK = "chunk"
    DEVIATION = "deviation"
    IMAGES = "images"


class BlobHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Header of a bulk transfer; the payload follows as raw frames."""

    run: Name
    """The run's name."""
    term: Count
    """Of the round's plan; the sender's own for a deviation; 0 for chunks and images."""
    kind: BlobKind
    round: Count
    """For a chunk: the snapshot's version. For a deviation: the version it is from. For images: that of the
    weights."""
    attempt: Count
    """For a slice: the plan's ``first_attempt``. For a deviation: the step of mixing. For images: the order's
    number."""
    index: Count
    """Shard number, or chunk number, or the index of the first image."""
    codec: Annotated[str, msgspec.Meta(max_length=16)]
    """Of a slice the plan's. ``plan`` for results, which are in it too; ``raw``, ``fp16`` and ``rgb8`` for
    chunks, deviations and images."""
    length: Count
    """Payload bytes."""
    digest: Digest
    """BLAKE3 of the payload, of chunks and images. Empty for slices, results and deviations: each frame
    is sealed, and what becomes of slices and results has a digest that the members compare."""
