"""Names and records that the whole system shares: spans, versions, peers."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

import msgspec

PeerId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A peer's identity: its CURVE public key in Z85 (40 characters)."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A non-negative integer that fits a Postgres bigint."""

Digest = Annotated[str, msgspec.Meta(max_length=64)]
"""A BLAKE3 digest in lower-case hex (64 characters); empty only where nothing is known yet."""


class Span(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A slice of one unit: the images at positions ``[start, stop)`` of an epoch's permutation.

    ``start`` and ``stop`` count from the beginning of the epoch, not of the unit.
    """

    epoch: Count
    unit: Count
    start: Count
    stop: Count

    @property
    def images(self) -> int:
        return self.stop - self.start

    def overlaps(self, other: Span) -> bool:
        return self.epoch == other.epoch and self.start < other.stop and other.start < self.stop

    def __str__(self) -> str:
        return f"{self.epoch}/{self.unit}[{self.start}:{self.stop}]"


def images_in(spans: tuple[Span, ...]) -> int:
    """Number of images that ``spans`` cover."""
    return sum(span.images for span in spans)


class Contribution(msgspec.Struct, frozen=True, order=True, array_like=True):
    """What one peer put into a round: the spans its vector covers. Its weight is their images."""

    peer: PeerId
    spans: tuple[Span, ...]

    @property
    def images(self) -> int:
        return images_in(self.spans)


class VersionRecord(msgspec.Struct, frozen=True, dict=True):
    """One committed round: how a version came from its parent. The ledger is a list of these."""

    version: Count
    digest: Digest
    parent_digest: Digest
    term: Count
    attempt: Count
    leader: PeerId
    images: Count
    """Images counted over the whole history up to and with this version."""
    contributions: tuple[Contribution, ...]

    def spans_of(self, peer: PeerId) -> tuple[Span, ...] | None:
        """What ``peer`` put in; None if nothing."""
        return self._by_peer.get(peer)

    @cached_property
    def _by_peer(self) -> dict[PeerId, tuple[Span, ...]]:
        return {c.peer: c.spans for c in self.contributions}


class SnapshotManifest(msgspec.Struct, frozen=True):
    """Names the bytes of one version: canonical weights, then EMA, cut into chunks of 1 MiB."""

    version: Count
    digest: Digest
    """Of the flat canonical vector (G then D), as in the version's record."""
    schema_hash: Digest
    images: Count
    length: Count
    """Bytes in all."""
    chunks: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=65_536)]
    """BLAKE3 of each chunk, in order; every chunk but the last has ``CHUNK_BYTES``."""


CHUNK_BYTES = 1 << 20
"""Bytes in one chunk of a snapshot."""
