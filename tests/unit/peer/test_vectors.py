"""The tensors behind a round: what is stored, what is refused, what comes out."""

from __future__ import annotations

import itertools

import pytest
import torch

from p2pgan.averaging.codec import codec
from p2pgan.averaging.digest import vector_digest
from p2pgan.averaging.outer import Movement, Outer
from p2pgan.averaging.reduce import Rejected
from p2pgan.averaging.rules import rule
from p2pgan.errors import WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.peer.snapshot import decode_snapshot, encode_snapshot
from p2pgan.peer.vectors import (
    LENT_S,
    SNAPSHOTS_KEPT,
    SNAPSHOTS_LENT,
    STORED_VECTORS_PER_SENDER,
    Snapshot,
    Vectors,
    first_snapshot,
)
from p2pgan.protocol.effects import Apply, BuildCandidate, Kept, Reduce
from p2pgan.protocol.ids import Contribution, Span, VersionRecord
from p2pgan.protocol.messages import Shard

CONFIG = GanConfig.model_validate({"model": {"name": "dcgan", "width": 8, "latent_dim": 8}})
LAYOUT = layout_for(CONFIG.model)
HALF = LAYOUT.size // 2
PLAIN = Movement(1.0)


def vectors(aggregation: str = "clip", outer: Outer = PLAIN) -> Vectors:
    made = Vectors(LAYOUT, outer=outer, half_life=1000.0, rule=rule(aggregation))
    theta = torch.randn(LAYOUT.size, generator=torch.Generator().manual_seed(1))
    made.install(first_snapshot(LAYOUT, theta, outer.memory))
    return made


def reduce_effect(*weights: tuple[str, int]) -> Reduce:
    return Reduce(1, 1, 1, 1, 0, Shard("a", 0, LAYOUT.size), "fp32", weights)


def test_a_round_moves_the_weights_by_the_weighted_mean() -> None:
    made = vectors()
    base = made.base().theta
    for peer, value in (("a", 1.0), ("b", 4.0)):
        made.store_slice((1, 1, 1, 0, peer), codec("fp32").encode(torch.full((LAYOUT.size,), value)))
    made.reduce(reduce_effect(("a", 20), ("b", 10)))
    digest = made.build(BuildCandidate(1, 1, 1, (Shard("a", 0, LAYOUT.size),), "fp32"))
    spans = (Span(0, 0, 0, 30),)
    record = VersionRecord(1, digest, made.base().digest, 1, 1, "a", 30, (Contribution("a", spans),))

    fresh = made.apply(Apply(record, 1, 1, Kept.NOTHING))

    torch.testing.assert_close(fresh.theta, base + 2.0)
    assert fresh.digest == digest == vector_digest(fresh.theta)
    assert made.agreement is None, "this peer made no contribution"
    assert made.snapshot(0, vector_digest(base)) is not None, "the version before can still be given away"


def one_round(made: Vectors, value: float) -> Snapshot:
    """A round to which one peer contributes ``value`` everywhere."""
    number, parent = made.base().version + 1, made.base().digest
    made.store_slice((1, number, 1, 0, "a"), codec("fp32").encode(torch.full((LAYOUT.size,), value)))
    shard = Shard("a", 0, LAYOUT.size)
    made.reduce(Reduce(1, number, 1, 1, 0, shard, "fp32", (("a", 10),)))
    digest = made.build(BuildCandidate(1, number, 1, (shard,), "fp32"))
    record = VersionRecord(number, digest, parent, 1, 1, "a", 10, (Contribution("a", (Span(0, 0, 0, 10),)),))
    return made.apply(Apply(record, 1, 1, Kept.NOTHING))


def test_momentum_goes_on_in_the_direction_of_the_rounds_before() -> None:
    made = vectors(outer=Movement(0.5, momentum=0.9))
    start = made.base().theta

    one_round(made, 1.0)
    second = one_round(made, 1.0)

    torch.testing.assert_close(second.theta, start + 0.5 * (1.0 + 1.9))


def test_a_joiner_gets_the_outer_state_and_goes_on_to_the_same_digest() -> None:
    made, joiner = (vectors(outer=Movement(1.0, momentum=0.9)) for _ in range(2))
    donated = one_round(made, 1.0)
    fetched = decode_snapshot(LAYOUT, donated.manifest, donated.blob, memory=1)
    joiner.install(Snapshot(LAYOUT, 1, donated.digest, donated.images, *fetched))

    assert one_round(joiner, 2.0).digest == one_round(made, 2.0).digest
    assert len(donated.blob) == made.snapshot_bytes


def test_a_snapshot_with_another_outer_state_is_refused() -> None:
    made = vectors(outer=Movement(1.0, momentum=0.9))
    donated = one_round(made, 1.0)
    forged = encode_snapshot(donated.theta, donated.ema, donated.state + 1)

    with pytest.raises(WeightsError, match="not those its digest names"):
        decode_snapshot(LAYOUT, donated.manifest, forged, memory=1)


@pytest.mark.parametrize("payload", [b"\x00" * 8, b"\x00\x00\xc0\x7f" * LAYOUT.size], ids=["short", "nan"])
def test_a_slice_that_cannot_enter_a_mean_names_its_sender(payload: bytes) -> None:
    made = vectors()
    made.store_slice((1, 1, 1, 0, "a"), codec("fp32").encode(torch.zeros(LAYOUT.size)))
    made.store_slice((1, 1, 1, 0, "mallory"), payload)

    with pytest.raises(Rejected) as caught:
        made.reduce(reduce_effect(("a", 1), ("mallory", 1)))

    assert caught.value.peer == "mallory"


def test_the_rule_sees_the_generator_and_the_discriminator_apart() -> None:
    made = vectors("clip")
    g, d = LAYOUT.slice_of("G"), LAYOUT.slice_of("D")
    for peer, in_g, in_d in (("a", 1.0, 1.0), ("b", 1.0, 1.0), ("mallory", 1.0, 1e6)):
        vector = torch.full((LAYOUT.size,), in_g)
        vector[d] = in_d
        made.store_slice((1, 1, 1, 0, peer), codec("fp32").encode(vector))

    made.reduce(reduce_effect(("a", 1), ("b", 1), ("mallory", 1)))

    payload = made.result((1, 1, 1, 0, "a"))
    assert payload is not None
    mean = codec("fp32").decode(payload, LAYOUT.size)
    torch.testing.assert_close(mean[g], torch.ones(g.stop - g.start))
    torch.testing.assert_close(mean[d], torch.ones(d.stop - d.start))


def test_norms_are_clipped_within_each_shard_and_there_for_each_network() -> None:
    """Large vectors are cut into several shards for each owner: each is clipped by itself."""
    made = vectors("clip")
    border = LAYOUT.slice_of("G").stop
    bounds = (0, border - 2048, border + 1024, LAYOUT.size)
    shards = tuple(Shard("a", start, stop) for start, stop in itertools.pairwise(bounds))
    parts = [slice(start, stop) for start, stop in itertools.pairwise(sorted((*bounds, border)))]
    source = torch.Generator().manual_seed(3)
    sent = {peer: torch.randn(LAYOUT.size, generator=source) for peer in ("a", "b", "c")}
    hostile = sent["c"].clone()
    for part, times in zip(parts, (1.0, 1e6, 1.0, 1e6), strict=True):
        hostile[part] *= times  # the end of G, and all of D but its beginning
    for index, shard in enumerate(shards):
        for peer, vector in {**sent, "c": hostile}.items():
            piece = codec("fp32").encode(vector[shard.start : shard.stop])
            made.store_slice((1, 1, 1, index, peer), piece)
        weights = tuple((peer, 64) for peer in sent)
        made.reduce(Reduce(1, 1, 1, 1, index, shard, "fp32", weights))

    pieces = []
    for index, shard in enumerate(shards):
        payload = made.result((1, 1, 1, index, "a"))
        assert payload is not None
        pieces.append(codec("fp32").decode(payload, shard.stop - shard.start))
    mean = torch.cat(pieces)
    for part in parts:
        vectors_of_part = [sent["a"][part], sent["b"][part], hostile[part]]
        limit = sorted(float(v.norm()) for v in vectors_of_part)[1]
        clipped = [v * min(1.0, limit / float(v.norm())) for v in vectors_of_part]
        torch.testing.assert_close(mean[part], torch.stack(clipped).mean(0), rtol=1e-4, atol=1e-5)


def test_another_peer_cannot_put_its_bytes_in_the_place_of_an_owners_result() -> None:
    made = vectors()
    shards = (Shard("a", 0, HALF), Shard("b", HALF, LAYOUT.size))
    honest = [torch.full((s.stop - s.start,), 1.0) for s in shards]
    made.store_result((1, 1, 1, 0, "a"), codec("fp32").encode(honest[0]))
    made.store_result((1, 1, 1, 1, "b"), codec("fp32").encode(honest[1]))
    expected = made.build(BuildCandidate(1, 1, 1, shards, "fp32"))

    made.store_result((1, 1, 1, 0, "mallory"), codec("fp32").encode(torch.full((HALF,), 9.0)))

    assert made.build(BuildCandidate(1, 1, 1, shards, "fp32")) == expected


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_result_that_is_not_finite_is_its_owners_fault(broken: float) -> None:
    made = vectors()
    shards = (Shard("a", 0, HALF), Shard("b", HALF, LAYOUT.size))
    made.store_result((1, 1, 1, 0, "a"), codec("fp32").encode(torch.ones(HALF)))
    made.store_result((1, 1, 1, 1, "b"), torch.full((LAYOUT.size - HALF,), broken).numpy().tobytes())

    with pytest.raises(Rejected, match="not finite") as caught:
        made.build(BuildCandidate(1, 1, 1, shards, "fp32"))

    assert caught.value.peer == "b"


def test_one_sender_can_store_only_so_much_until_rounds_are_over() -> None:
    made = vectors()
    vector = bytes(4 * LAYOUT.size)
    for index in range(STORED_VECTORS_PER_SENDER):
        assert made.store_slice((1, 1, 1, index, "mallory"), vector)

    assert not made.store_slice((1, 1, 1, 99, "mallory"), vector)
    assert not made.store_result((1, 1, 1, 0, "mallory"), vector)
    assert made.store_slice((1, 1, 1, 0, "a"), vector)
    made.forget(below=2)
    assert made.store_slice((1, 2, 1, 0, "mallory"), vector)


def test_one_sender_can_store_only_so_many_however_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pgan.peer.vectors.STORED_PAYLOADS_PER_SENDER", 3)
    made = vectors()
    stored = [made.store_result((1, 1, attempt, 0, "mallory"), b"") for attempt in range(5)]
    assert stored == [True, True, True, False, False]
    assert made.store_result((1, 1, 1, 0, "a"), b"")


def test_a_version_that_somebody_fetches_outlives_those_that_nobody_wants() -> None:
    now = 0.0
    made = vectors()
    made.clock = lambda: now
    first = made.base()

    def next_version() -> None:
        base = made.base()
        fresh = Snapshot(LAYOUT, base.version + 1, f"digest {base.version + 1}", 0, base.theta, base.ema)
        made.install(fresh)

    for second in range(100):
        now = float(second)
        assert made.snapshot(0, first.digest) is not None
        next_version()
    assert made.snapshot(50, "digest 50") is None

    now += LENT_S
    next_version()
    assert made.snapshot(0, first.digest) is None


def test_only_so_many_old_versions_are_kept_for_those_who_fetch() -> None:
    made = vectors()
    now = 0.0
    made.clock = lambda: now
    for version in range(1, 40):
        made.install(Snapshot(LAYOUT, version, "d", 0, made.base().theta, made.base().ema))
        now += 0.1
        for wanted in range(5):
            made.snapshot(wanted, "d")
    kept = [version for version in range(40) if made.snapshot(version, "d") is not None]
    assert len(kept) == SNAPSHOTS_KEPT + SNAPSHOTS_LENT


def test_a_candidate_tells_how_the_own_contribution_stands_to_the_mean() -> None:
    made = vectors()
    made.contribution = torch.full((LAYOUT.size,), 1.0)
    for peer, value in (("a", 1.0), ("b", 3.0)):
        made.store_slice((1, 1, 1, 0, peer), codec("fp32").encode(torch.full((LAYOUT.size,), value)))
    made.reduce(reduce_effect(("a", 10), ("b", 10)))
    made.build(BuildCandidate(1, 1, 1, (Shard("a", 0, LAYOUT.size),), "fp32"))
    assert made.agreement is not None
    assert made.agreement.cosine == pytest.approx(1.0)
    assert made.agreement.drift == pytest.approx(0.5, abs=1e-3)
