"""Rounds of several peers' vectors, from slices to digests, under every codec."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from p2pgan.averaging.codec import CODECS
from p2pgan.averaging.digest import vector_digest
from p2pgan.averaging.outer import Movement
from p2pgan.averaging.rules import rule
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.peer.vectors import Snapshot, Vectors
from p2pgan.protocol.effects import Apply, BuildCandidate, Kept, Reduce, SendSlice
from p2pgan.protocol.ids import Contribution, Span, VersionRecord
from p2pgan.protocol.messages import Shard

LAYOUT = layout_for(GanConfig.model_validate({"model": {"name": "dcgan", "width": 8, "latent_dim": 8}}).model)
PEERS = ("a", "b", "c")
BORDERS = (0, 5 * LAYOUT.size // 11, 8 * LAYOUT.size // 11, LAYOUT.size)


class Group:
    """Peers whose bytes reach each other at once."""

    def __init__(self, codec: str) -> None:
        self.codec = codec
        theta = torch.randn(LAYOUT.size, generator=torch.Generator().manual_seed(1))
        self.peers = {peer: Vectors(LAYOUT, Movement(1.0), 1000.0, rule("mean")) for peer in PEERS}
        for made in self.peers.values():
            ema = theta[LAYOUT.slice_of("G")].clone()
            made.install(Snapshot(LAYOUT, 0, vector_digest(theta), 0, theta, ema))

    def contribute(self, number: int, deltas: dict[str, Tensor], owners: tuple[str, ...]) -> None:
        """Every peer's slices go to the owners."""
        for peer, delta in deltas.items():
            self.peers[peer].contribution = delta
        self._send(number, tuple(deltas), owners)

    def _send(self, number: int, senders: tuple[str, ...], owners: tuple[str, ...]) -> None:
        for index, shard in enumerate(self.shards(owners)):
            for peer in senders:
                effect = SendSlice(1, number, 1, index, shard, self.codec)
                if peer == shard.owner:
                    self.peers[peer].store_own_slice(effect, peer)
                else:
                    payload = bytearray(self.peers[peer].own_slice(effect))
                    self.peers[shard.owner].store_slice((1, number, 1, index, peer), payload)

    def reduce(
        self, number: int, attempt: int, members: tuple[str, ...], owners: tuple[str, ...]
    ) -> set[str]:
        """Owners reduce, all get the results; the digests that members come to."""
        shards, weights = self.shards(owners), tuple((peer, 10) for peer in members)
        for index, shard in enumerate(shards):
            owner = self.peers[shard.owner]
            owner.reduce(Reduce(1, number, attempt, 1, index, shard, self.codec, weights))
            payload = owner.result((1, number, attempt, index, shard.owner))
            assert payload is not None
            for peer in members:
                if peer != shard.owner:
                    self.peers[peer].store_result(
                        (1, number, attempt, index, shard.owner), bytearray(payload)
                    )
        build = BuildCandidate(1, number, attempt, shards, self.codec)
        return {self.peers[peer].build(build) for peer in members}

    def apply(self, number: int, attempt: int, members: tuple[str, ...], digest: str) -> None:
        for peer in members:
            made = self.peers[peer]
            counted = tuple(Contribution(member, (Span(0, 0, 0, 10),)) for member in members)
            record = VersionRecord(number, digest, made.base().digest, 1, attempt, "a", 0, counted)
            made.apply(Apply(record, 1, attempt, Kept.NOTHING))
            made.coding.settle(record, 1, contributed=True)
            made.forget(number + 1)

    def version(
        self,
        number: int,
        deltas: dict[str, Tensor],
        owners: tuple[str, ...],
        members: tuple[str, ...] = PEERS,
    ) -> str:
        """A round in which nothing goes wrong; the digest of what it makes."""
        self.contribute(number, deltas, owners)
        (digest,) = self.reduce(number, 1, members, owners)
        self.apply(number, 1, members, digest)
        return digest

    @staticmethod
    def shards(owners: tuple[str, ...]) -> tuple[Shard, ...]:
        return tuple(Shard(owner, BORDERS[i], BORDERS[i + 1]) for i, owner in enumerate(owners))


def deltas(seed: int, peers: tuple[str, ...] = PEERS) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {peer: torch.randn(LAYOUT.size, generator=draw) * 1e-3 for peer in peers}


@pytest.mark.parametrize("codec", CODECS)
def test_digests_are_equal_after_every_round_also_with_a_peer_lost_in_the_middle(codec: str) -> None:
    group = Group(codec)
    for number in (1, 2):
        group.version(number, deltas(number), PEERS)

    group.contribute(3, deltas(3), PEERS)
    assert len(group.reduce(3, 1, PEERS, PEERS)) == 1, "nobody could apply it before c was gone"
    left, heirs = ("a", "b"), ("a", "b", "a")
    group._send(3, left, heirs)
    (digest,) = group.reduce(3, 2, left, heirs)
    group.apply(3, 2, left, digest)

    digest = group.version(4, deltas(4, left), heirs, left)
    assert digest == vector_digest(group.peers["a"].base().theta)


def test_over_many_rounds_the_weights_go_where_exact_averaging_would_take_them() -> None:
    rounds, same = 16, deltas(1)
    mean = torch.stack(list(same.values())).mean(0)

    def error(count: int) -> float:
        group = Group("int8")
        start = group.peers["a"].base().theta
        for number in range(1, count + 1):
            group.version(number, same, PEERS)
        moved = group.peers["a"].base().theta - start
        return float((moved / count - mean).norm() / mean.norm())

    assert error(rounds) < error(1) / 3


@pytest.mark.parametrize("codec", CODECS)
def test_biases_and_gains_move_exactly_by_the_mean(codec: str) -> None:
    group, moves = Group(codec), deltas(1)
    start = group.peers["a"].base().theta
    group.version(1, moves, PEERS)
    expected = start + torch.stack(list(moves.values())).mean(0)
    for entry in LAYOUT.entries:
        if len(entry.shape) <= 1:
            place = slice(entry.start, entry.stop)
            torch.testing.assert_close(group.peers["b"].base().theta[place], expected[place])


@pytest.mark.parametrize("codec", ["int8", "topk"])
def test_what_was_lost_in_other_weights_is_not_added(codec: str) -> None:
    group, moves, fresh = Group(codec), deltas(1), Group(codec)
    group.version(1, moves, PEERS)
    for peer in PEERS:
        group.peers[peer].install(fresh.peers[peer].base())

    for made in (group, fresh):
        made.contribute(2, moves, PEERS)

    assert group.reduce(2, 1, PEERS, PEERS) == fresh.reduce(2, 1, PEERS, PEERS)


@pytest.mark.parametrize("codec", ["int8", "topk"])
def test_what_was_lost_is_not_added_after_shards_moved_away_and_back(codec: str) -> None:
    group, moves, fresh = Group(codec), deltas(1), Group(codec)
    for number, owners in ((1, PEERS), (2, ("b", "c", "a"))):
        group.version(number, moves, owners)

    def slice_of_a(made: Group, index: int) -> bytes:
        made.peers["a"].contribution = moves["a"]
        effect = SendSlice(1, 3, 1, index, made.shards(PEERS)[index], codec)
        return bytes(made.peers["a"].own_slice(effect))

    assert slice_of_a(group, 1) != slice_of_a(fresh, 1), "sent in both rounds: what was lost is added"
    assert slice_of_a(group, 2) == slice_of_a(fresh, 2), "its own in round 2"


@pytest.mark.parametrize("codec", ["int8", "topk"])
def test_who_took_no_part_in_a_version_adds_nothing_of_the_one_before(codec: str) -> None:
    group, moves, fresh = Group(codec), deltas(1), Group(codec)
    digest = group.version(1, moves, PEERS)
    left_out = VersionRecord(2, digest, digest, 1, 1, "a", 0, ())
    group.peers["c"].coding.settle(left_out, 1, contributed=False)

    def slice_of_c(made: Group) -> bytes:
        made.peers["c"].contribution = moves["c"]
        return bytes(made.peers["c"].own_slice(SendSlice(1, 3, 1, 0, made.shards(PEERS)[0], codec)))

    assert slice_of_c(group) == slice_of_c(fresh)
