"""Names of bytes: BLAKE3 digests of vectors and blobs, and the chunks of a snapshot.

BLAKE3 is itself a tree hash over 1 KiB leaves (O'Connor et al., 2020), so that several threads can share a
vector, where torch has them: the members of a round wait for each other's digests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from p2pgan.protocol.ids import CHUNK_BYTES

if TYPE_CHECKING:
    from torch import Tensor

Buffer = bytes | bytearray | memoryview


class VectorDigest:
    """A digest of vectors that come one after the other, in whatever blocks."""

    def __init__(self) -> None:
        # With torch, which who hashes bytes does not need.
        from torch import get_num_threads

        from p2pgan.averaging.codec import little_endian_bytes

        self._bytes_of = little_endian_bytes
        # As many threads as torch may have: where each peer of a machine has one, more would only wait.
        self._hash = blake3(max_threads=1 if get_num_threads() == 1 else blake3.AUTO)

    def add(self, vector: Tensor) -> None:
        """The little-endian bytes of a float32 vector follow."""
        self._hash.update(self._bytes_of(vector))

    def name(self) -> str:
        """64 hex characters."""
        return self._hash.hexdigest()


def vector_digest(*vectors: Tensor) -> str:
    """Digest (64 hex characters) of the little-endian bytes of float32 vectors, one after the other."""
    digest = VectorDigest()
    for vector in vectors:
        digest.add(vector)
    return digest.name()


def blob_digest(blob: Buffer) -> str:
    """Digest (64 hex characters) of bytes as they are."""
    return blake3(blob).hexdigest()


def chunk(blob: Buffer) -> list[memoryview]:
    """Cuts bytes, without a copy, into pieces of ``CHUNK_BYTES``; the last may be shorter."""
    view = memoryview(blob)
    if view.nbytes == 0:
        return []
    view = view.cast("B")
    return [view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES)]
