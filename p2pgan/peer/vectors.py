"""The tensors behind the state machine's words: weights, contribution, slices, results, snapshots."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from p2pgan.averaging.agreement import Comparison
from p2pgan.averaging.blocks import BLOCK, blocks
from p2pgan.averaging.codec.raw import Allocate, fresh_memory
from p2pgan.averaging.digest import VectorDigest, vector_digest
from p2pgan.averaging.finite import is_finite
from p2pgan.averaging.flatten import Layout
from p2pgan.averaging.outer import Outer
from p2pgan.averaging.reduce import Rejected, Source, aggregate
from p2pgan.averaging.rules import Rule
from p2pgan.errors import InternalError, PeerFault
from p2pgan.gan.ema import ema_update, half_life_at
from p2pgan.peer.coding import Coding
from p2pgan.peer.snapshot import ELEMENT_BYTES, encode_snapshot, name_snapshot, snapshot_elements
from p2pgan.protocol.effects import Apply, BuildCandidate, Kept, Reduce, SendSlice
from p2pgan.protocol.ids import CHUNK_BYTES, PeerId, SnapshotManifest
from p2pgan.protocol.messages import MAX_MEMBERS
from p2pgan.protocol.metrics import Agreement, agreement

SNAPSHOTS_KEPT = 4
"""Versions whose bytes a donor can give in any case."""
SNAPSHOTS_LENT = 3
"""Older versions that are kept because somebody fetches them."""
LENT_S = 30.0
"""A version counts as fetched for so long after the last chunk that was asked for."""
STORED_VECTORS_PER_SENDER = 8
"""Bound on undelivered slices and results of one sender, in full float32 vectors."""
STORED_PAYLOADS_PER_SENDER = STORED_VECTORS_PER_SENDER * MAX_MEMBERS
"""Bound on their number, as no vector has more shards: of each a little is kept beside its bytes."""

SliceKey = tuple[int, int, int, int, PeerId]
"""(term, round, first_attempt, shard, sender)"""
ResultKey = tuple[int, int, int, int, PeerId]
"""(term, round, attempt, shard, owner): what another peer sends under the same numbers stays apart"""
Payload = memoryview | bytes | bytearray


@dataclass
class Snapshot:
    """One version, immutable; its bytes and their names are made when first asked for."""

    layout: Layout
    version: int
    digest: str
    images: int
    theta: Tensor
    """float32 (P,), CPU."""
    ema: Tensor
    """float32 (P_G,), CPU."""
    state: Tensor = field(default_factory=lambda: torch.empty(0))
    """What the outer optimizer remembers: float32 (memory * P,), CPU."""

    @cached_property
    def blob(self) -> memoryview:
        """Theta, EMA, state, as bytes."""
        return encode_snapshot(self.theta, self.ema, self.state)

    @cached_property
    def manifest(self) -> SnapshotManifest:
        """Names of the blob's chunks."""
        return name_snapshot(self.layout, self.digest, self.blob, self.version, self.images)

    def chunk(self, index: int) -> memoryview:
        """Bytes of one chunk; empty beyond the end."""
        return self.blob[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


def first_snapshot(layout: Layout, theta: Tensor, memory: int) -> Snapshot:
    """Version 0: initial weights, of which nothing is averaged, nor remembered by the outer optimizer."""
    ema, state = theta[layout.slice_of("G")].clone(), torch.zeros(memory * layout.size)
    return Snapshot(layout, 0, vector_digest(theta, state), 0, theta, ema, state)


@dataclass
class Vectors:
    """Used by the peer's loop alone. All vectors are float32 on the CPU."""

    layout: Layout
    outer: Outer
    """How the outcome of a round becomes the next version."""
    half_life: float
    rule: Rule
    """How contributions become one vector."""
    current: Snapshot | None = None
    contribution: Tensor | None = None
    """How far the training of this round's spans moved the weights."""
    partial: Tensor | None = None
    """Of the contribution under way what is final so far; the state machine knows which elements."""
    contribution_ahead: Tensor | None = None
    """The same for what was trained after that, if it is done."""
    agreement: Agreement | None = None
    """Of the contribution with the mean of the last candidate that was built."""
    clock: Callable[[], float] = time.monotonic
    allocate: Allocate = fresh_memory
    """Where payloads are written that are to be sent."""
    coding: Coding = field(init=False)
    _lent: dict[tuple[int, str], float] = field(default_factory=dict)
    """When a chunk of a snapshot was last asked for."""
    _slices: dict[SliceKey, Payload] = field(default_factory=dict)
    _own: dict[SliceKey, Tensor] = field(default_factory=dict)
    _results: dict[ResultKey, Payload] = field(default_factory=dict)
    _candidates: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    _snapshots: OrderedDict[tuple[int, str], Snapshot] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.coding = Coding(self.layout, self.allocate)

    @property
    def snapshot_bytes(self) -> int:
        """Bytes of any version's snapshot."""
        return ELEMENT_BYTES * snapshot_elements(self.layout, self.outer.memory)

    # -- versions ----------------------------------------------------------------------------

    def install(self, snapshot: Snapshot) -> None:
        """``snapshot`` replaces the weights; contributions, and what they lost, went with the old ones."""
        self.coding.begin_anew()
        self._go_on_from(snapshot)

    def _go_on_from(self, snapshot: Snapshot) -> None:
        self.current = snapshot
        self.drop_training()
        self._snapshots[(snapshot.version, snapshot.digest)] = snapshot
        self._drop_old_snapshots()

    def drop_training(self) -> None:
        """What was trained does not count."""
        self.contribution = self.partial = self.contribution_ahead = None

    def base(self) -> Snapshot:
        """The current weights. Raises InternalError before there are any."""
        if self.current is None:
            raise InternalError("a round without weights")
        return self.current

    def snapshot(self, version: int, digest: str) -> Snapshot | None:
        """A version's weights for somebody who fetches them, if still kept."""
        found = self._snapshots.get((version, digest))
        if found is not None:
            self._lent[version, digest] = self.clock()
        return found

    def averaged(self, version: int) -> Tensor | None:
        """The averaged generator of a version that is kept: float32 (P_G,)."""
        kept = (snapshot for key, snapshot in reversed(self._snapshots.items()) if key[0] == version)
        found = next(kept, None)
        return None if found is None else found.ema

    def _drop_old_snapshots(self) -> None:
        """What others fetch stays until they have it, or no joiner could keep up with short rounds."""
        now = self.clock()
        self._lent = {k: at for k, at in self._lent.items() if now - at < LENT_S and k in self._snapshots}
        lent = sorted(self._lent, key=self._lent.__getitem__)[-SNAPSHOTS_LENT:]
        for key in list(self._snapshots)[:-SNAPSHOTS_KEPT]:
            if key not in lent:
                del self._snapshots[key]

    def apply(self, effect: Apply) -> Snapshot:
        """The candidate becomes the current version; the EMA follows in images."""
        record, old = effect.record, self.base()
        theta, state = self._candidates.pop((effect.round_term, record.version, effect.attempt))
        counted = sum(c.images for c in record.contributions)
        half_life = half_life_at(record.images, self.half_life)
        ema = ema_update(old.ema, theta[self.layout.slice_of("G")], counted, half_life)
        kept = {
            Kept.ALL: (self.contribution, self.contribution_ahead),
            Kept.AHEAD: (self.contribution_ahead, None),
            Kept.NOTHING: (None, None),
        }[effect.kept]
        fresh = Snapshot(self.layout, record.version, record.digest, record.images, theta, ema, state)
        self._go_on_from(fresh)
        self.contribution, self.contribution_ahead = kept
        return fresh

    # -- rounds ------------------------------------------------------------------------------

    def own_slice(self, effect: SendSlice) -> memoryview:
        """This peer's contribution to a shard, encoded."""
        return self.coding.slice(effect, self._contributed())

    def _contributed(self) -> Tensor:
        contribution = self.partial if self.contribution is None else self.contribution
        if contribution is None:
            raise InternalError("a round asks for a contribution that is not there")
        return contribution

    def store_own_slice(self, effect: SendSlice, me: PeerId) -> None:
        """Keep this peer's own contribution to a shard that it owns, as it is: it goes over no wire."""
        key = (effect.term, effect.round, effect.first_attempt, effect.index, me)
        self._own[key] = self._contributed()[effect.shard.start : effect.shard.stop]

    def store_slice(self, key: SliceKey, payload: Payload) -> bool:
        """Keep a member's slice until its round is over; False if it has too much in store."""
        if self._has_room(key[4], len(payload)):
            self._slices[key] = payload
            return True
        return False

    def store_result(self, key: ResultKey, payload: Payload) -> bool:
        """Keep a reduced shard; False if its sender has too much in store."""
        if self._has_room(key[4], len(payload)):
            self._results[key] = payload
            return True
        return False

    def stored_bytes(self, sender: PeerId) -> int:
        """Slices and results of ``sender`` that wait for their round."""
        return sum(self._stored(sender))

    def _stored(self, sender: PeerId) -> list[int]:
        everything = (*self._slices.items(), *self._results.items())
        return [len(payload) for key, payload in everything if key[4] == sender]

    def _has_room(self, sender: PeerId, size: int) -> bool:
        stored, most = self._stored(sender), STORED_VECTORS_PER_SENDER * ELEMENT_BYTES * self.layout.size
        return len(stored) < STORED_PAYLOADS_PER_SENDER and sum(stored) + size <= most

    def reduce(self, effect: Reduce) -> None:
        """What the rule makes of a shard's slices, encoded once for everyone.

        Raises:
            Rejected: names the contributor whose slice is not valid.
        """
        shard = effect.shard
        slices: dict[PeerId, Source] = {}
        for peer, _ in effect.weights:
            key = (effect.term, effect.round, effect.first_attempt, effect.index, peer)
            try:
                own = self._own.get(key)
                slices[peer] = self.coding.read_slice(effect, self._slices[key]) if own is None else own
            except PeerFault as error:
                raise Rejected(peer, str(error)) from error
        parts = self.layout.parts_of(shard.start, shard.stop)
        reduced = aggregate(self.rule, slices, dict(effect.weights), parts)
        place = (effect.term, effect.round, effect.attempt, effect.index, shard.owner)
        self._results[place] = self.coding.result(effect, reduced)

    def result(self, key: ResultKey) -> Payload | None:
        """A reduced shard as encoded by its owner."""
        return self._results.get(key)

    def build(self, effect: BuildCandidate) -> str:
        """What the weights would be after the round; its digest.

        Raises:
            Rejected: names the owner whose result is not valid.
        """
        base, own = self.base(), self.contribution
        step = self.outer.begin(base.theta, base.state, effect.round, base.images)
        digest, comparison = VectorDigest(), None if own is None else Comparison(own)
        for start, mean in self._mean(effect):
            digest.add(step.advance(start, mean))
            if comparison is not None:
                comparison.look(start, mean)
        digest.add(step.state)
        self._candidates[(effect.term, effect.round, effect.attempt)] = step.weights, step.state
        self.agreement = None if comparison is None else agreement(*comparison.agreement())
        return digest.name()

    def _mean(self, effect: BuildCandidate) -> Iterator[tuple[int, Tensor]]:
        """What the owners reduced, from the vector's start to its end, block by block in the same memory.

        Raises Rejected as :meth:`build` does.
        """
        scratch, done = torch.empty(BLOCK), 0
        for index, shard in sorted(enumerate(effect.shards), key=lambda pair: pair[1].start):
            if shard.start != done:
                raise Rejected(shard.owner, f"its shard begins at {shard.start} and not at {done}")
            payload = self._results[(effect.term, effect.round, effect.attempt, index, shard.owner)]
            try:
                read = self.coding.read_result(effect.codec, shard, payload)
            except PeerFault as error:
                raise Rejected(shard.owner, str(error)) from error
            for block in blocks(shard.stop - shard.start):
                found = scratch[: block.stop - block.start]
                read(block.start, found)
                if not is_finite(found):
                    raise Rejected(shard.owner, f"peer {shard.owner} sent numbers that are not finite")
                yield done + block.start, found
            done = shard.stop
        if done != self.layout.size:
            raise Rejected(effect.shards[-1].owner, f"the last shard ends at {done}")

    def forget(self, below: int) -> None:
        """Drop what belongs to rounds below this one."""
        self._slices = {k: v for k, v in self._slices.items() if k[1] >= below}
        self._own = {k: v for k, v in self._own.items() if k[1] >= below}
        self._results = {k: v for k, v in self._results.items() if k[1] >= below}
        self._candidates = {k: v for k, v in self._candidates.items() if k[1] >= below}
