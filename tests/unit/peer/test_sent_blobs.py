"""What a peer says of the bulk it sends: only a chunk is named by a digest, see decision 17."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from blake3 import blake3

from p2pgan.averaging.outer import Movement
from p2pgan.averaging.rules import rule
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.peer.inbox import Inbox
from p2pgan.peer.perform import Performer
from p2pgan.peer.vectors import Vectors, first_snapshot
from p2pgan.protocol.effects import Effect, Reduce, SendChunk, SendResult, SendSlice
from p2pgan.protocol.messages import BlobHeader, BlobKind, Shard
from p2pgan.protocol.metrics import Traffic

LAYOUT = layout_for(GanConfig.model_validate({"model": {"name": "mlp", "latent_dim": 8}}).model)
SHARD = Shard("b", 0, 4096)
OWN = Shard("a", 0, 4096)


@pytest.fixture
def vectors() -> Vectors:
    made = Vectors(LAYOUT, outer=Movement(1.0), half_life=1000.0, rule=rule("mean"))
    made.install(first_snapshot(LAYOUT, torch.ones(LAYOUT.size), 0))
    made.contribution = torch.ones(LAYOUT.size)
    return made


def _never(*_: object) -> bool:
    raise AssertionError("nothing arrives here")


def sent_by(vectors: Vectors, effect: Effect) -> tuple[BlobHeader, bytes]:
    """The one blob that leaves the peer ``a`` for it."""
    sent: list[tuple[BlobHeader, bytes]] = []
    transport = SimpleNamespace(
        send_blob=lambda to, header, payload: sent.append((header, bytes(payload))),
        traffic=lambda: Traffic(0, 0),
    )
    there, nothing = cast(Any, transport), cast(Any, SimpleNamespace())
    Performer(
        "run", "a", vectors, nothing, there, nothing, nothing, Inbox(), nothing, _never, _never
    ).perform(effect)
    (blob,) = sent
    return blob


def test_a_slice_is_its_senders_word_and_has_no_digest(vectors: Vectors) -> None:
    header, payload = sent_by(vectors, SendSlice(1, 1, 1, 0, SHARD, "fp16"))

    assert (header.kind, header.digest, header.length) == (BlobKind.SLICE, "", len(payload))


def test_a_result_is_checked_by_the_vote_and_has_no_digest(vectors: Vectors) -> None:
    vectors.store_own_slice(SendSlice(1, 1, 1, 0, OWN, "fp16"), "a")
    vectors.reduce(Reduce(1, 1, 1, 1, 0, OWN, "fp16", (("a", 64),)))

    header, payload = sent_by(vectors, SendResult("b", 1, 1, 1, 0))

    assert (header.kind, header.digest, header.length) == (BlobKind.RESULT, "", len(payload))


def test_a_chunk_has_the_digest_that_its_manifest_names(vectors: Vectors) -> None:
    manifest = vectors.base().manifest

    header, payload = sent_by(vectors, SendChunk("b", 0, manifest.digest, 0))

    assert header.kind is BlobKind.CHUNK
    assert header.digest == blake3(payload).hexdigest() == manifest.chunks[0]
