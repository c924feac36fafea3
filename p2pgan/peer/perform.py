"""One function per effect: what the state machine wants done, done with tensors, sockets and threads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from p2pgan.averaging.digest import blob_digest
from p2pgan.averaging.reduce import Rejected
from p2pgan.errors import WeightsError
from p2pgan.failpoints import pass_by
from p2pgan.journal import RoundLine
from p2pgan.peer.database import Database
from p2pgan.peer.inbox import Inbox
from p2pgan.peer.lending import Lending
from p2pgan.peer.log import Log
from p2pgan.peer.memory import Memory
from p2pgan.peer.mixing import Mixer
from p2pgan.peer.traffic import RoundTraffic
from p2pgan.peer.training import TrainingThread
from p2pgan.peer.vectors import Payload, Vectors
from p2pgan.protocol.effects import (
    Apply,
    BeginSnapshot,
    BuildCandidate,
    Effect,
    Finish,
    ForgetRounds,
    InstallSnapshot,
    Kept,
    Mix,
    Note,
    Reduce,
    Send,
    SendChunk,
    SendResult,
    SendSlice,
    SendWelcome,
    ShareDeviation,
    StopTraining,
    Train,
    TrainAhead,
)
from p2pgan.protocol.events import (
    CandidateReady,
    ChunkArrived,
    Reduced,
    ReduceRejected,
    ResultArrived,
    SliceArrived,
    SnapshotFailed,
    SnapshotInstalled,
)
from p2pgan.protocol.ids import CHUNK_BYTES, PeerId, SnapshotManifest, VersionRecord
from p2pgan.protocol.messages import BlobHeader, BlobKind, ChunkMissing, Plan, Welcome
from p2pgan.transport import BlobArrived, Transport

KINDS_FOR_EVERYONE = frozenset({"leader", "peer", "database", "catch-up", "leaving", "network"})
"""Notes that also go to the events table; the others stay in log and journal."""


TELL_S = 0.5
"""Between two versions of which the log tells; the journal has all."""


@dataclass
class Fetched:
    """A snapshot being put together."""

    manifest: SnapshotManifest
    blob: bytearray


class Performer:
    """Performs effects in the order in which they came."""

    def __init__(
        self,
        run: str,
        me: PeerId,
        vectors: Vectors,
        training: TrainingThread,
        transport: Transport,
        database: Database,
        memory: Memory,
        inbox: Inbox,
        log: Log,
        accepts: Callable[[int, int], bool],
        mixes: Callable[[PeerId, int, int, int], bool],
    ) -> None:
        self._run, self._me = run, me
        self._vectors, self._training, self._transport = vectors, training, transport
        self._database, self._memory, self._inbox, self._log = database, memory, inbox, log
        self._accepts = accepts
        self._fetched: Fetched | None = None
        self.lending = Lending()
        self._traffic = RoundTraffic(transport.traffic)
        self._applied_at = time.monotonic()
        self._told_at = 0.0
        self.offences: Counter[PeerId] = Counter()
        """What each peer sent whose seal and form held and that still cannot be: a slice, a chunk."""
        self.mixer = Mixer(run, vectors.layout.size, training, transport, inbox, self.offences, mixes)
        self.finished: str | None = None
        """The reason, once the state machine is done."""

    def perform(self, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self._transport.send(to, message)
                if isinstance(message, Plan):
                    pass_by("planning")
            case Note(kind, text):
                self.note(kind, text)
            case Train(ticket, spans):
                self._vectors.drop_training()
                base = self._vectors.base()
                self._training.train(ticket, spans, base.theta, base.version, base.images)
                self.mixer.trains_from(base.version)
                pass_by("training")
            case TrainAhead(ticket, spans):
                self._vectors.contribution_ahead = None
                self._training.train_ahead(ticket, spans)
                pass_by("training")
            case StopTraining():
                self._vectors.drop_training()
                self.stop_training()
            case ShareDeviation():
                self.mixer.share(effect)
            case Mix():
                self.mixer.mix(effect)
            case Apply():
                self._apply(effect)
            case SendSlice():
                self._send_slice(effect)
            case Reduce():
                self._reduce(effect)
            case SendResult():
                self._send_result(effect)
            case BuildCandidate():
                self._build(effect)
            case ForgetRounds(below):
                self._vectors.forget(below)
            case SendWelcome():
                self._send_welcome(effect)
            case SendChunk():
                self._send_chunk(effect)
            case BeginSnapshot(manifest):
                self._begin_snapshot(manifest)
            case InstallSnapshot():
                self._install(effect)
            case Finish(reason):
                self.finished = reason
            case _:
                self._database.perform(effect, self._vectors.current)

    def training_noticed(self, text: str, collapsed: bool) -> None:
        """The training says something about itself: for this machine, not for everyone."""
        self.note("training", text)
        if collapsed:
            self._database.find_way_back()

    def note_order(self, name: str) -> None:
        """Somebody has this peer draw: for this machine, not for everyone."""
        self.note("order", f"draws images for {name}")

    def note_sharing(self, name: str | None, reason: str) -> None:
        """No memory is shared, so that frames are sent: for this machine, not for everyone."""
        self.note("memory", f"not shared with {name or 'peers of this machine'}: {reason}")

    def note(self, kind: str, text: str) -> None:
        """Say it in the log and keep it; some kinds are for everyone."""
        self._log.note(kind, text)
        self._memory.add_event(kind, text)
        if kind in KINDS_FOR_EVERYONE:
            self._database.note(kind, text)

    def stop_training(self) -> None:
        """Drop what is under way."""
        self._training.stop()
        self.mixer.trains_from(None)

    # -- rounds ------------------------------------------------------------------------------

    def _apply(self, effect: Apply) -> None:
        record = effect.record
        fresh = self._vectors.apply(effect)
        self._traffic.applied()
        contributed = record.spans_of(self._me) is not None
        self._vectors.coding.settle(record, effect.round_term, contributed)
        if effect.kept is Kept.NOTHING:
            self.mixer.trains_from(None)
        else:
            self._training.rebase(fresh.theta, fresh.images, counted=effect.kept is Kept.AHEAD)
            self.mixer.trains_from(fresh.version)
        self._memory.add_version(record)
        now = time.monotonic()
        counted = sum(c.images for c in record.contributions)
        members, seconds = len(record.contributions), now - self._applied_at
        self._applied_at = now
        self._memory.add_round(self._round_line(record, members, counted, seconds))
        if now - self._told_at >= TELL_S:
            self._told_at = now
            self._log.version(record, members, counted, seconds)

    def _round_line(self, record: VersionRecord, members: int, counted: int, seconds: float) -> RoundLine:
        took_part = record.spans_of(self._me) is not None
        agreement = self._vectors.agreement if took_part else None
        return RoundLine(
            record.version,
            record.attempt,
            record.term,
            members,
            counted,
            seconds,
            "committed",
            None if agreement is None else agreement.cosine,
            None if agreement is None else agreement.drift,
        )

    def _send_slice(self, e: SendSlice) -> None:
        if e.shard.owner == self._me:
            self._vectors.store_own_slice(e, self._me)
            self._inbox.put(SliceArrived(self._me, e.term, e.round, e.first_attempt, e.index))
        else:
            payload = self._vectors.own_slice(e)
            header = self._header(BlobKind.SLICE, e.term, e.round, e.first_attempt, e.index, e.codec, payload)
            self._transport.send_blob(e.shard.owner, header, payload)
        pass_by("exchange")

    def _reduce(self, e: Reduce) -> None:
        try:
            self._vectors.reduce(e)
        except Rejected as fault:
            self.offences[fault.peer] += 1
            self._inbox.put(ReduceRejected(e.term, e.round, e.attempt, e.index, fault.peer, str(fault)))
        else:
            self._inbox.put(Reduced(e.term, e.round, e.attempt, e.index))

    def _send_result(self, e: SendResult) -> None:
        payload = self._vectors.result((e.term, e.round, e.attempt, e.index, self._me))
        if payload is None:
            return
        if e.to == self._me:
            self._inbox.put(ResultArrived(self._me, e.term, e.round, e.attempt, e.index))
            return
        # The receiver knows the codec from the plan.
        header = self._header(BlobKind.RESULT, e.term, e.round, e.attempt, e.index, "plan", payload)
        self._transport.send_blob(e.to, header, payload)
        pass_by("result")

    def _header(
        self, kind: BlobKind, term: int, number: int, attempt: int, index: int, codec: str, payload: Payload
    ) -> BlobHeader:
        return BlobHeader(
            run=self._run,
            term=term,
            kind=kind,
            round=number,
            attempt=attempt,
            index=index,
            codec=codec,
            length=len(payload),
            digest=blob_digest(payload) if kind is BlobKind.CHUNK else "",
        )

    def _build(self, e: BuildCandidate) -> None:
        try:
            digest = self._vectors.build(e)
        except Rejected as fault:
            self.offences[fault.peer] += 1
            self.note("round", f"round {e.round}: a reduced shard is not valid: {fault}")
        else:
            told = (self._vectors.agreement, self._traffic.voted())
            self._inbox.put(CandidateReady(e.term, e.round, e.attempt, digest, *told))

    def blob_arrived(self, arrival: BlobArrived) -> None:
        """Store a bulk transfer that the state machine has a use for."""
        header, sender = arrival.header, arrival.sender
        if header.run != self._run or header.kind is BlobKind.IMAGES:  # a peer orders none
            self.offences[sender] += 1
            return
        if header.kind is BlobKind.CHUNK:
            self._chunk_arrived(sender, header, arrival.payload)
        elif header.kind is BlobKind.DEVIATION:
            self.mixer.arrived(arrival)
        elif self._accepts(header.term, header.round):
            place = (header.term, header.round, header.attempt, header.index)
            if header.kind is BlobKind.SLICE:
                if self._vectors.store_slice((*place, sender), arrival.payload):
                    self._inbox.put(SliceArrived(sender, *place))
            elif self._vectors.store_result((*place, sender), arrival.payload):
                self._inbox.put(ResultArrived(sender, *place))

    # -- snapshots ---------------------------------------------------------------------------

    def _send_welcome(self, e: SendWelcome) -> None:
        manifest = self._vectors.base().manifest
        welcome = Welcome(run=self._run, term=e.term, manifest=manifest, ledger=e.ledger, donors=e.donors)
        self._transport.send(e.to, welcome)

    def _send_chunk(self, e: SendChunk) -> None:
        snapshot = self._vectors.snapshot(e.version, e.digest)
        payload = snapshot.chunk(e.index) if snapshot is not None else b""
        if payload:
            header = self._header(BlobKind.CHUNK, 0, e.version, 0, e.index, "raw", payload)
            self._transport.send_blob(e.to, header, payload)
            self.lending.gave(e.to, e.version, self._vectors.snapshot_bytes, e.index, len(payload))
        else:
            missing = ChunkMissing(run=self._run, term=0, version=e.version, digest=e.digest, index=e.index)
            self._transport.send(e.to, missing)

    def _begin_snapshot(self, manifest: SnapshotManifest) -> None:
        if manifest.length != self._vectors.snapshot_bytes:
            self._fetched = None
            self._inbox.put(SnapshotFailed(manifest.version, f"{manifest.length} bytes are not a snapshot"))
        else:
            self._fetched = Fetched(manifest, bytearray(manifest.length))

    def _chunk_arrived(self, sender: PeerId, header: BlobHeader, payload: memoryview) -> None:
        fetched = self._fetched
        if fetched is None or header.round != fetched.manifest.version:
            return
        manifest, index = fetched.manifest, header.index
        valid = index < len(manifest.chunks) and header.digest == manifest.chunks[index]
        if not valid:
            self.offences[sender] += 1
        else:
            fetched.blob[index * CHUNK_BYTES : index * CHUNK_BYTES + len(payload)] = payload
        self._inbox.put(ChunkArrived(sender, manifest.version, manifest.digest, index, valid))

    def _install(self, e: InstallSnapshot) -> None:
        fetched, self._fetched = self._fetched, None
        if fetched is None or fetched.manifest != e.manifest:
            self._inbox.put(SnapshotFailed(e.manifest.version, "its chunks are gone"))
            return
        try:
            snapshot = self._database.decoded(e.manifest, bytes(fetched.blob))
        except WeightsError as error:
            self._inbox.put(SnapshotFailed(e.manifest.version, str(error)))
            return
        self.stop_training()
        self._vectors.install(snapshot)
        self._traffic.installed()
        self._inbox.put(SnapshotInstalled(e.manifest, e.ledger))
