"""What a simulated peer sends to others, and what it does with snapshots it receives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from p2pgan.protocol.effects import (
    BeginSnapshot,
    InstallSnapshot,
    SendChunk,
    SendResult,
    SendSlice,
    SendWelcome,
    ShareDeviation,
)
from p2pgan.protocol.events import (
    ChunkArrived,
    DeviationArrived,
    LinkEnded,
    Received,
    ResultArrived,
    SliceArrived,
    SnapshotInstalled,
)
from p2pgan.protocol.ids import CHUNK_BYTES, Contribution, PeerId, SnapshotManifest, VersionRecord
from p2pgan.protocol.messages import AnyMessage, ChunkMissing, Welcome
from p2pgan.simulation.invariants import SOUND
from p2pgan.simulation.network import Channel
from p2pgan.simulation.scenario import Point
from p2pgan.simulation.vectors import Result, ResultKey, SliceKey
from p2pgan.simulation.world import State, symbol

if TYPE_CHECKING:
    from p2pgan.simulation.peer import SimulatedPeer

FEWEST_CHUNKS = 3
"""In a snapshot, so that a small one comes in parts as well."""
SNAPSHOT_BYTES = 6
"""Of each element: the weights, four bytes, and the average of G."""
CONTROL_BYTES = 400
"""A control message, roughly."""
ELEMENT_BYTES = 2
INSTALL_S = 0.01
FROZEN_S = 0.25
"""What a frozen machine would have done is tried again after this."""


class Transfers:
    """The bulk side of one life of a peer."""

    def __init__(self, peer: SimulatedPeer) -> None:
        self._peer = peer

    def message(self, to: PeerId, message: AnyMessage) -> None:
        peer = self._peer
        other = peer.neighbours.get(to)
        if other is not None:
            arrive = partial(other.take, Received(peer.me, message))
            arrives = peer.world.deliver(peer.me, to, Channel.CONTROL, CONTROL_BYTES, arrive)
            # TCP loses a message with its connection alone. One that is cut off silently goes on for a while.
            if not arrives and not peer.world.network.is_cut(peer.me, to):
                peer.answer(0.0, LinkEnded(to))

    def _bulk(self, to: PeerId, size: int, arrive: Callable[[], None]) -> None:
        self._peer.world.deliver(self._peer.me, to, Channel.BULK, size, arrive)

    def send(self, effect: SendSlice | SendResult | SendWelcome | SendChunk) -> None:
        match effect:
            case SendSlice():
                self._send_slice(effect)
                self._peer.comes_to(Point.EXCHANGE)
            case SendResult():
                self._send_result(effect)
                self._peer.comes_to(Point.EXCHANGE)
            case SendWelcome():
                self._send_welcome(effect)
            case SendChunk():
                self._send_chunk(effect)
                self._peer.comes_to(Point.DONATION)

    def share(self, e: ShareDeviation) -> None:
        """A deviation has no symbol: nothing that counts comes of it."""
        peer = self._peer
        for other in (peer.neighbours[to] for to in e.to):
            arrived = DeviationArrived(peer.me, e.term, e.version, e.step)
            self._bulk(other.me, peer.world.config.vector_size * ELEMENT_BYTES, partial(other.take, arrived))

    # -- rounds ------------------------------------------------------------------------------

    def _send_slice(self, e: SendSlice) -> None:
        peer = self._peer
        contribution = peer.vectors.contribution
        if contribution is None and e.shard.start >= peer.vectors.partial_from:
            contribution = peer.vectors.partial
        assert contribution is not None
        if not peer.world.config.overlaps and peer.vectors.begun_at != peer.vectors.base().digest:
            peer.world.violated(SOUND, f"{peer.me} sends gradients of other weights than its own")
        if peer.spoils:
            contribution = None
        key: SliceKey = (e.term, e.round, e.first_attempt, e.index, peer.me)
        if e.shard.owner == peer.me:
            peer.later(0.0, partial(_store_slice, peer, key, contribution))
        elif (owner := peer.neighbours.get(e.shard.owner)) is not None:
            size = (e.shard.stop - e.shard.start) * ELEMENT_BYTES
            self._bulk(owner.me, size, partial(_store_slice, owner, key, contribution))

    def _send_result(self, e: SendResult) -> None:
        peer = self._peer
        key: ResultKey = (e.term, e.round, e.attempt, e.index)
        result = peer.vectors.results.get(key)
        if result is None:
            return
        if e.to == peer.me:
            peer.answer(0.0, ResultArrived(peer.me, *key))
        elif (other := peer.neighbours.get(e.to)) is not None:
            size = peer.vectors.result_elements[key] * ELEMENT_BYTES
            self._bulk(e.to, size, partial(_store_result, other, peer.me, key, result))

    # -- snapshots ---------------------------------------------------------------------------

    def manifest(self, state: State, images: int) -> SnapshotManifest:
        """Names the chunks of a state."""
        config = self._peer.world.config
        length = SNAPSHOT_BYTES * config.vector_size
        chunks = tuple(symbol(state.digest, i) for i in range(_chunks(length)))
        return SnapshotManifest(state.version, state.digest, config.schema_hash, images, length, chunks)

    def _send_welcome(self, e: SendWelcome) -> None:
        peer = self._peer
        manifest = self.manifest(peer.vectors.base(), peer.machine.core.images)
        welcome = Welcome(run="run", term=e.term, manifest=manifest, ledger=e.ledger, donors=e.donors)
        self.message(e.to, welcome)

    def _send_chunk(self, e: SendChunk) -> None:
        peer = self._peer
        if peer.vectors.lends(e.digest):
            other = peer.neighbours.get(e.to)
            if other is not None:
                length = SNAPSHOT_BYTES * peer.world.config.vector_size
                size = length // _chunks(length)
                arrived = ChunkArrived(peer.me, e.version, e.digest, e.index, True)
                self._bulk(e.to, size, partial(other.take, arrived))
        else:
            missing = ChunkMissing(
                run="run", term=peer.machine.core.term, version=e.version, digest=e.digest, index=e.index
            )
            self.message(e.to, missing)

    def receive(self, effect: BeginSnapshot | InstallSnapshot) -> None:
        """Chunks are symbols, so that there is nothing to do before all are in."""
        if isinstance(effect, InstallSnapshot):
            self.install(self._peer.world.states[effect.manifest.digest], effect.manifest, effect.ledger)

    def install(self, state: State, manifest: SnapshotManifest, ledger: tuple[VersionRecord, ...]) -> None:
        """Checked first; then weights and state machine change in one step."""
        peer = self._peer

        def installed() -> None:
            if peer.frozen:
                peer.later(FROZEN_S, installed)
                return
            peer.vectors.install(state)
            peer.performer.drop_training()
            peer.take(SnapshotInstalled(manifest, ledger))

        peer.later(INSTALL_S, installed)


def _chunks(length: int) -> int:
    return max(FEWEST_CHUNKS, -(-length // CHUNK_BYTES))


def _store_slice(owner: SimulatedPeer, key: SliceKey, contribution: Contribution | None) -> None:
    if owner.alive and owner.machine.member.accepts(key[0], key[1]):
        owner.vectors.slices[key] = contribution
        owner.take(SliceArrived(key[4], key[0], key[1], key[2], key[3]))


def _store_result(peer: SimulatedPeer, sender: PeerId, key: ResultKey, result: Result) -> None:
    if peer.alive and peer.machine.member.accepts(key[0], key[1]):
        peer.vectors.results[key] = result
        peer.take(ResultArrived(sender, *key))
