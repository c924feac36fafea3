"""The bytes of one version: canonical weights, then the generator's moving average, float32 little-endian."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec import codec, little_endian_bytes
from p2pgan.averaging.digest import blob_digest, chunk, vector_digest
from p2pgan.averaging.flatten import Layout
from p2pgan.errors import PeerFault, WeightsError
from p2pgan.protocol.ids import SnapshotManifest

ELEMENT_BYTES = 4


def encode_snapshot(theta: Tensor, ema: Tensor) -> bytes:
    """Bytes of weights ``theta`` (P,) and averaged generator ``ema`` (P_G,), both float32 on the CPU."""
    return bytes(little_endian_bytes(torch.cat([theta, ema])))


def name_snapshot(layout: Layout, theta: Tensor, blob: bytes, version: int, images: int) -> SnapshotManifest:
    """The manifest of ``blob``, the snapshot of ``theta`` at ``version`` with ``images`` counted."""
    return SnapshotManifest(
        version=version,
        digest=vector_digest(theta),
        schema_hash=layout.schema_hash,
        images=images,
        length=len(blob),
        chunks=tuple(blob_digest(piece) for piece in chunk(blob)),
    )


def decode_snapshot(layout: Layout, manifest: SnapshotManifest, blob: bytes) -> tuple[Tensor, Tensor]:
    """Weights (P,) and averaged generator (P_G,) out of a snapshot's bytes.

    Raises:
        WeightsError: another schema or length, not finite, or not what the manifest names.
    """
    generator = layout.slice_of("G")
    elements = layout.size + generator.stop - generator.start
    if manifest.schema_hash != layout.schema_hash or len(blob) != elements * ELEMENT_BYTES:
        raise WeightsError(f"the weights of version {manifest.version} are of other networks than the run's")
    try:
        values = codec("fp32").decode(blob, elements)
    except PeerFault as error:
        raise WeightsError(f"the weights of version {manifest.version} are not valid: {error}") from error
    theta, ema = values[: layout.size], values[layout.size :]
    if vector_digest(theta) != manifest.digest:
        raise WeightsError(f"the weights of version {manifest.version} are not those its digest names")
    return theta, ema
