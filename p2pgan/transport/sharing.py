"""What two transports of one machine say to each other over control about payloads in shared memory.

As with keys each direction of a pair has its own talk: who sends offers, who receives answers.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from p2pgan.protocol.ids import Count
from p2pgan.protocol.messages import BlobHeader, BlobKind

OfferId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
"""Drawn at random for each offer; numbers of blobs begin at 0 under each."""

MOST_PLACED = 64
"""Blobs in one message."""
MOST_HELD = 1024
"""Blobs that a receiver holds of one sender; what comes beyond is dropped."""


SHARED_KINDS = frozenset({BlobKind.SLICE, BlobKind.RESULT, BlobKind.DEVIATION})


class ArenaOffer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="arena_offer"):
    """My payloads for you lie in this memory, if you can open it; an earlier offer of mine is void."""

    offer_id: OfferId
    machine: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    """BLAKE3 of the machine's boot id."""
    pid: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    descriptor: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    """Of a sealed memfd, in that process."""
    size: Annotated[int, msgspec.Meta(ge=1, le=2**40)]


class ArenaAnswer(msgspec.Struct, frozen=True, tag_field="type", tag="arena_answer"):
    """Whether I read what lies there. Without a yes, and after a no, all goes in sealed frames."""

    offer_id: OfferId
    taken: bool
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Placed(msgspec.Struct, frozen=True, array_like=True):
    """One blob: its payload lies at ``offset``, ``header.length`` bytes."""

    number: Count
    """One more than that of the blob before."""
    offset: Count
    header: BlobHeader


class BlobsPlaced(msgspec.Struct, frozen=True, tag_field="type", tag="blobs_placed"):
    """These payloads can be read, and stay as they are until they are not held any more."""

    offer_id: OfferId
    blobs: Annotated[tuple[Placed, ...], msgspec.Meta(min_length=1, max_length=MOST_PLACED)]


class BlobsHeld(msgspec.Struct, frozen=True, tag_field="type", tag="blobs_held"):
    """I had all blobs below ``through``, and still read those in ``held``. The newest such message counts."""

    offer_id: OfferId
    through: Count
    held: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MOST_HELD)]


Sharing = ArenaOffer | ArenaAnswer | BlobsPlaced | BlobsHeld


def may_be_shared(header: BlobHeader) -> bool:
    """Whether what reads the payload stands it that the sender changes it meanwhile.

    Who compares with a digest does not: what was compared would not be what is used.
    """
    return header.kind in SHARED_KINDS and not header.digest
