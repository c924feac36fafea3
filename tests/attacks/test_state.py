"""A registered peer whose words are well formed and wrong: the weights, the plan and the term stay."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import blake3
import pytest
import torch

from p2pgan.averaging.codec import codec
from p2pgan.averaging.outer import Movement
from p2pgan.averaging.rules import rule
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.peer.inbox import Inbox
from p2pgan.peer.perform import Fetched, Performer
from p2pgan.peer.vectors import STORED_VECTORS_PER_SENDER, Vectors, first_snapshot
from p2pgan.protocol.effects import Reduce
from p2pgan.protocol.events import Reduced, ReduceRejected, SliceArrived
from p2pgan.protocol.ids import Contribution, SnapshotManifest, Span, VersionRecord
from p2pgan.protocol.messages import (
    AnyMessage,
    BlobHeader,
    BlobKind,
    ChunkMissing,
    ContributionRejected,
    DrawRefused,
    DrawRequest,
    Handover,
    Heartbeat,
    Member,
    Phase,
    ResultRequest,
    RoundCommitted,
    RunFinished,
    Shard,
    SliceRequest,
    SnapshotRequest,
    Welcome,
)
from p2pgan.protocol.metrics import Traffic
from p2pgan.transport import BlobArrived
from tests.unit.protocol.steps import BASE, Driver, manifest, plan_for

CASES = 1000
LAYOUT = layout_for(GanConfig.model_validate({"model": {"name": "dcgan", "width": 8, "latent_dim": 8}}).model)


def state(driver: Driver) -> tuple[object, ...]:
    core, member = driver.machine.core, driver.machine.member
    return (
        core.term,
        core.leader,
        core.version,
        core.digest,
        core.ledger,
        member.plan,
        member.held,
        core.finished,
    )


def drawn(draw: random.Random, term: int) -> AnyMessage:
    """A message of a peer that does not lead, with numbers from before, now and after."""
    number = draw.choice([0, 1, 2, 5, 2**62])
    of: dict[str, Any] = {
        "run": draw.choice(["run", "run", "other"]),
        "term": draw.choice([0, term, term + 1, 2**62]),
    }
    digest = draw.choice([BASE, "forged", ""])
    record = VersionRecord(
        number, digest, BASE, of["term"], 1, "c", 64, (Contribution("c", (Span(0, 0, 0, 64),)),)
    )
    return draw.choice(
        [
            Heartbeat(**of, version=number, digest=digest, phase=draw.choice(list(Phase)), lease_held=True,
                      candidate="forged", held=(Span(0, 0, 0, 2**40),), images_per_s=1e9,
                      committed_version=number),
            plan_for(Member("c", (Span(0, 0, 0, 64),), True), term=of["term"], attempt=number, leader="c"),
            RoundCommitted(**of, record=record),
            SliceRequest(**of, round=number, shard=number),
            ResultRequest(**of, round=number, attempt=number, shard=number),
            Welcome(**of, manifest=manifest(number, digest), ledger=(record,), donors=("c",)),
            SnapshotRequest(**of),
            ChunkMissing(**of, version=number, digest=digest, index=number),
            ContributionRejected(**of, round=number, attempt=number, peer="a", reason="no"),
            Handover(**of),
            RunFinished(**of),
            DrawRequest(**of, order=number, version=number, digest=digest, seed=1, first=number, images=64),
            DrawRefused(**of, order=number, first=number, busy=False, reason="no"),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_forged_words_of_a_member_do_not_move_a_follower(seed: int) -> None:
    draw, driver = random.Random(seed), Driver()
    driver.follow("b", term=2)
    plan = plan_for(Member("a", (Span(0, 0, 0, 64),), True), Member("b", (), False), term=2)
    driver.hear("b", plan)
    before = state(driver)
    for _ in range(CASES):
        driver.hear("c", drawn(draw, 2))
    assert state(driver) == before


def performer(accepts: bool = True) -> tuple[Performer, Vectors, Inbox]:
    vectors, inbox = Vectors(LAYOUT, outer=Movement(1.0), half_life=1000.0, rule=rule("mean")), Inbox()
    vectors.install(first_snapshot(LAYOUT, torch.zeros(LAYOUT.size), 0))
    nothing = cast(Any, SimpleNamespace(traffic=lambda: Traffic(0, 0)))
    made = Performer(
        "run", "a", vectors, nothing, nothing, nothing, nothing, inbox, nothing,
        lambda term, number: accepts, lambda *_: accepts,
    )  # fmt: skip
    return made, vectors, inbox


def blob(payload: bytes, **changes: object) -> BlobArrived:
    facts: dict[str, Any] = {
        "run": "run", "term": 1, "kind": BlobKind.SLICE, "round": 1, "attempt": 1, "index": 0,
        "codec": "fp32", "length": len(payload), "digest": blake3.blake3(payload).hexdigest(),
    }  # fmt: skip
    return BlobArrived("mallory", BlobHeader(**{**facts, **changes}), memoryview(bytearray(payload)))


def test_blobs_that_nobody_can_want_are_offences_and_stale_ones_are_passed_over() -> None:
    made, vectors, inbox = performer(accepts=False)
    made.blob_arrived(blob(b"x" * 8, run="other"))
    made.blob_arrived(blob(b"x" * 8, kind=BlobKind.IMAGES))
    assert made.offences == {"mallory": 2}
    for kind in (BlobKind.SLICE, BlobKind.RESULT, BlobKind.CHUNK, BlobKind.DEVIATION):
        made.blob_arrived(blob(b"x" * 8, kind=kind, term=0, round=0))
    assert made.offences == {"mallory": 2}, "whoever is late means no harm"
    assert vectors.stored_bytes("mallory") == 0
    assert inbox.empty()


def test_what_one_sender_can_store_under_forged_numbers_is_bounded() -> None:
    made, vectors, _ = performer()
    payload = bytes(4 * LAYOUT.size)
    for number in range(3 * STORED_VECTORS_PER_SENDER):
        made.blob_arrived(blob(payload, index=number, attempt=number, kind=list(BlobKind)[number % 2]))
    assert vectors.stored_bytes("mallory") == STORED_VECTORS_PER_SENDER * len(payload)


def as_sent(vector: torch.Tensor, dtype: str) -> bytes:
    return vector.numpy().astype(dtype).tobytes()


ELEMENTS = 64
HONEST = torch.linspace(-1, 1, ELEMENTS)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (as_sent(HONEST, "<f4"), "64 elements came as 256 bytes instead of 128"),
        (as_sent(HONEST, "<f8"), "as 512 bytes instead of 128"),
        (as_sent(HONEST, "<i1"), "as 64 bytes instead of 128"),
        (as_sent(HONEST, "<f2")[:-2], "as 126 bytes instead of 128"),
        (as_sent(HONEST, "<f2") + b"x", "as 129 bytes instead of 128"),
        (b"", "as 0 bytes instead of 128"),
        (as_sent(HONEST / 0, "<f2"), "not finite"),
        (as_sent(torch.full((ELEMENTS,), -1), "<i2"), "not finite"),
    ],
    ids=["codec", "float64", "int8", "short", "long", "empty", "infinite", "int16 whose bits are NaN"],
)
def test_a_slice_of_wrong_codec_length_or_dtype_is_rejected_by_name(payload: bytes, reason: str) -> None:
    """What its header says of it does not matter: the plan names the codec, the shard the length."""
    made, vectors, inbox = performer()
    shard = Shard("a", 0, ELEMENTS)
    made.blob_arrived(blob(payload, codec="fp16"))
    assert inbox.get() == SliceArrived("mallory", 1, 1, 1, 0)
    honest = codec("fp16").encode(HONEST)
    vectors.store_slice((1, 1, 1, 0, "b"), honest)
    before, digest = vectors.base().theta.clone(), vectors.base().digest

    made.perform(Reduce(1, 1, 1, 1, 0, shard, "fp16", (("b", 64), ("mallory", 64))))
    rejected = inbox.get()
    assert isinstance(rejected, ReduceRejected)
    assert (rejected.round, rejected.attempt, rejected.shard, rejected.peer) == (1, 1, 0, "mallory")
    assert reason in rejected.reason
    assert inbox.empty() and made.offences == {"mallory": 1}
    assert vectors.result((1, 1, 1, 0, "a")) is None
    assert torch.equal(vectors.base().theta, before) and vectors.base().digest == digest

    made.perform(Reduce(1, 1, 2, 1, 0, shard, "fp16", (("b", 64),)))
    assert inbox.get() == Reduced(1, 1, 2, 0), "the round goes on without it"
    assert vectors.result((1, 1, 2, 0, "a")) == honest


def test_a_chunk_that_is_not_the_one_asked_for_is_an_offence() -> None:
    made, _, inbox = performer()
    wanted = SnapshotManifest(3, "d" * 64, "s", 0, 100, (blake3.blake3(b"right").hexdigest(),))
    made._fetched = Fetched(wanted, bytearray(100))
    made.blob_arrived(blob(b"wrong", kind=BlobKind.CHUNK, round=3))
    made.blob_arrived(blob(b"right", kind=BlobKind.CHUNK, round=3, index=7))
    assert made.offences == {"mallory": 2}
    assert bytes(made._fetched.blob) == bytes(100)
    assert not inbox.empty()
