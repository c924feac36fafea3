"""The bytes of one version, float32 little-endian: canonical weights, then the generator's moving average,
then what the outer optimizer remembers."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pgan.averaging.codec import codec, little_endian_bytes
from p2pgan.averaging.digest import blob_digest, chunk, vector_digest
from p2pgan.averaging.flatten import Layout
from p2pgan.errors import PeerFault, WeightsError
from p2pgan.protocol.ids import SnapshotManifest

ELEMENT_BYTES = 4


def encode_snapshot(theta: Tensor, ema: Tensor, *state: Tensor) -> memoryview:
    """Bytes of weights ``theta`` (P,), averaged generator ``ema`` (P_G,) and the outer optimizer's ``state``,
    all float32 on the CPU."""
    return little_endian_bytes(torch.cat([theta, ema, *state]))


def name_snapshot(
    layout: Layout, digest: str, blob: memoryview, version: int, images: int
) -> SnapshotManifest:
    """The manifest of ``blob``, the snapshot of the version with that digest, ``images`` counted."""
    return SnapshotManifest(
        version=version,
        digest=digest,
        schema_hash=layout.schema_hash,
        images=images,
        length=len(blob),
        chunks=tuple(blob_digest(piece) for piece in chunk(blob)),
    )


def snapshot_elements(layout: Layout, memory: int) -> int:
    """Numbers in a snapshot, where the outer optimizer remembers ``memory`` vectors."""
    generator = layout.slice_of("G")
    return int((1 + memory) * layout.size + generator.stop - generator.start)


def decode_snapshot(
    layout: Layout, manifest: SnapshotManifest, blob: bytes, memory: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (P,), averaged generator (P_G,) and outer state (memory * P,) out of a snapshot's bytes.

    Raises:
        WeightsError: another schema or length, not finite, or not what the manifest names.
    """
    elements = snapshot_elements(layout, memory)
    if manifest.schema_hash != layout.schema_hash or len(blob) != elements * ELEMENT_BYTES:
        raise WeightsError(f"the weights of version {manifest.version} are of other networks than the run's")
    try:
        values = codec("fp32").decode(blob, elements)
    except PeerFault as error:
        raise WeightsError(f"the weights of version {manifest.version} are not valid: {error}") from error
    theta, ema, state = values.tensor_split([layout.size, elements - memory * layout.size])
    if vector_digest(theta, state) != manifest.digest:
        raise WeightsError(f"the weights of version {manifest.version} are not those its digest names")
    return theta, ema, state
