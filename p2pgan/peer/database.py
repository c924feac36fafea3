"""The threads that talk to the rendezvous: one for the lease, one for everything else.

Each effect becomes one call and its answer an event. A database that cannot be reached is an event
as well; only errors that no retry mends end the peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from p2pgan.errors import RendezvousUnavailable, WeightsError
from p2pgan.failpoints import pass_by
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.gan.sampling import Generator, grid_png
from p2pgan.gan.signals import COLLAPSED, D_FELL, NO_GRADIENT
from p2pgan.peer.facts import Bar
from p2pgan.peer.inbox import Inbox, SampleDrawn, SnapshotRead, TrainingNoticed
from p2pgan.peer.line import Call, Line
from p2pgan.peer.memory import Memory
from p2pgan.peer.scoring import Scorer
from p2pgan.peer.snapshot import decode_snapshot
from p2pgan.peer.table import may_speak, peers_read
from p2pgan.peer.vectors import Snapshot
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.effects import (
    AcquireLease,
    ClaimUnits,
    Commit,
    Effect,
    FinishRun,
    LoadFromRendezvous,
    ReadLease,
    ReadPeers,
    ReadProgress,
    ReleaseLease,
    RenewLease,
    RollUp,
)
from p2pgan.protocol.events import (
    CommitDone,
    CommitRefused,
    EpochDone,
    FinishDone,
    LeaseAcquired,
    LeaseLost,
    LeaseRead,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
    ProgressRead,
    SnapshotFailed,
)
from p2pgan.protocol.ids import Digest, PeerId, SnapshotManifest
from p2pgan.rendezvous import PeerRegistration, PeerStat, Rendezvous, RunRow
from p2pgan.transport import PeerAddress

RESERVE_S = 2.0
"""Head start of a named successor."""
SAMPLE_IMAGES = 64
SAMPLE_SEED = 1


class Database:
    """Performs the effects that concern the rendezvous; answers go to the inbox."""

    def __init__(
        self,
        rendezvous: Rendezvous,
        run: RunRow,
        registration: PeerRegistration,
        config: ProtocolConfig,
        gan: GanConfig,
        outer_memory: int,
        memory: Memory,
        inbox: Inbox,
        set_peers: Callable[[dict[PeerId, PeerAddress]], None],
        sample_every: int,
        score_every: int = 0,
        scorer: Scorer | None = None,
    ) -> None:
        """Every ``score_every`` versions ``scorer`` gets one that this peer has committed."""
        self._db, self._run, self._config = rendezvous, run, config
        self._registration, self._me = registration, registration.id
        self._gan, self._memory, self._inbox = gan, memory, inbox
        self._outer_memory = outer_memory
        """Vectors that the run's outer optimizer remembers."""
        self._set_peers, self._sample_every = set_peers, sample_every
        self._score_every, self._scorer = score_every, scorer
        self._sampled = 0
        self.staging: Bar | None = None
        """The commit on its way to the database, for others to read."""
        self._kept_version: int | None = None
        """Version that this process has put into the outbox."""
        self._lease_line = Line("lease", inbox)
        self._work_line = Line("rendezvous", inbox)

    def start(self) -> None:
        self._lease_line.start()
        self._work_line.start()

    def end(self, seconds: float) -> None:
        """Finish what is queued, within a bounded time."""
        self._lease_line.end(seconds)
        self._work_line.end(seconds)

    def perform(self, effect: Effect, snapshot: Snapshot | None) -> None:
        """Queue ``effect``; ``snapshot`` is the version that a commit writes."""
        line = self._work_line
        call: Call
        match effect:
            case ReadLease():
                line, call = self._lease_line, self._read_lease
            case AcquireLease():
                line, call = self._lease_line, self._acquire_lease
            case RenewLease(term):
                line, call = self._lease_line, partial(self._renew_lease, term)
            case ReleaseLease():
                line, call = self._lease_line, partial(self._release_lease, effect)
            case ReadPeers():
                call = self._read_peers
            case ReadProgress():
                call = self._read_progress
            case ClaimUnits():
                call = partial(self._claim_units, effect)
            case Commit():
                assert snapshot is not None
                call = partial(self._commit, effect, snapshot)
            case FinishRun(term):
                call = partial(self._finish_run, term)
            case RollUp():
                call = partial(self._roll_up, effect)
            case LoadFromRendezvous(version):
                call = partial(self._load, version)
            case _:
                raise AssertionError(f"not for the rendezvous: {effect}")
        awaited = not isinstance(effect, ClaimUnits | RollUp)
        line.put(type(effect).__name__, call, awaited)

    def note(self, kind: str, text: str) -> None:
        """Write an event for people to read."""
        self._work_line.put(
            "note", partial(self._db.write_event, self._run.id, self._me, kind, text), awaited=False
        )

    def find_way_back(self) -> None:
        """Say which version a run that has collapsed can go back to, and by which command."""
        self._work_line.put("way back", self._find_way_back, awaited=False)

    def _find_way_back(self) -> None:
        version = self._db.sound_version(self._run.id, COLLAPSED, D_FELL, NO_GRADIENT)
        command = f"p2pgan rollback --rendezvous DSN --run {self._run.name} --to {version or 0}"
        self._inbox.put(TrainingNoticed(f"if it is so for all peers, the run can go back: {command}"))

    # -- the lease ---------------------------------------------------------------------------

    def _read_lease(self) -> None:
        lease = self._db.read_lease(self._run.id)
        self._inbox.put(
            LeaseRead(lease.term, lease.holder, lease.expires_in_s, lease.successor, lease.finished)
        )

    def _acquire_lease(self) -> None:
        lease = self._db.acquire_lease(self._run.id, self._me, self._config.ttl_s)
        self._inbox.put(LeaseRefused() if lease is None else LeaseAcquired(lease.term))

    def _renew_lease(self, term: int) -> None:
        renewal = self._db.renew_lease(self._run.id, self._me, term, self._config.ttl_s)
        self._inbox.put(LeaseLost(term) if renewal is None else LeaseRenewed(term, renewal.peers_generation))

    def _release_lease(self, effect: ReleaseLease) -> None:
        held = self._db.release_lease(self._run.id, self._me, effect.term, effect.successor, RESERVE_S)
        self._inbox.put(LeaseReleased(effect.term) if held else LeaseLost(effect.term))

    # -- peers and progress ------------------------------------------------------------------

    def _read_peers(self) -> None:
        table = self._db.list_peers(self._run.id)
        if not any(p.id == self._me and p.present for p in table.peers):
            # The leader took this peer for lost, perhaps long ago: others must learn that it is back.
            self._db.register_peer(self._run.id, self._registration)
            table = self._db.list_peers(self._run.id)
        others = [p for p in table.peers if may_speak(p) and p.id != self._me]
        self._set_peers({p.id: PeerAddress(p.control_address, p.bulk_address) for p in others})
        self._inbox.put(peers_read(table))

    def _read_progress(self) -> None:
        progress = self._db.read_progress(self._run.id)
        epochs = tuple(EpochDone(e.epoch, e.done) for e in progress.epochs)
        self._inbox.put(
            ProgressRead(progress.term, progress.version, progress.digest, epochs, progress.made_in)
        )

    def _claim_units(self, effect: ClaimUnits) -> None:
        units = [(u.epoch, u.unit, u.start, u.stop) for u in effect.units]
        self._db.claim_units(self._run.id, effect.term, self._me, units, self._config.unit_lease_s)

    def _roll_up(self, effect: RollUp) -> None:
        stats = [
            PeerStat(
                s.peer,
                "active" if s.alive else "lost",
                s.images_per_s,
                s.version,
                s.digest,
                s.set_aside,
                s.offences,
                s.spans,
                s.reached,
            )
            for s in effect.stats
        ]
        self._db.roll_up(self._run.id, self._me, effect.term, stats)

    def _finish_run(self, term: int) -> None:
        done = self._db.finish_run(self._run.id, self._me, term)
        self._inbox.put(FinishDone() if done else LeaseLost(term))

    # -- weights -----------------------------------------------------------------------------

    def _commit(self, effect: Commit, snapshot: Snapshot) -> None:
        """Stage outside any lock, then one transaction; what cannot be written waits in the journal."""
        manifest = snapshot.manifest
        chunks = [(name, snapshot.chunk(i)) for i, name in enumerate(manifest.chunks)]
        pass_by("staging")
        try:
            self._db.stage_chunks(self._run.id, self._me, effect.term, self._watched(manifest, chunks))
            pass_by("commit")
            outcome = self._db.commit_weights(self._run.id, self._me, effect.term, effect.records, manifest)
        except RendezvousUnavailable:
            self._keep_commit(effect, snapshot)
            raise
        finally:
            self.staging = None
        if not outcome.committed:
            self._inbox.put(CommitRefused(effect.term, outcome.reason))
            return
        pass_by("announce")
        self._inbox.put(CommitDone(manifest.version))
        # A call of its own: should it fail, the commit is done all the same.
        write = partial(self._db.write_metrics, self._run.id, self._me, effect.metrics)
        self._work_line.put("metrics", write, awaited=False)
        self._memory.forget_commits()
        self._kept_version = None
        if manifest.version - self._sampled >= self._sample_every or self._sampled == 0:
            self._sampled = manifest.version
            self._write_sample(snapshot)
        self._score(effect.records[0].version, snapshot)

    def _score(self, first: int, snapshot: Snapshot) -> None:
        """Score a commit of the versions from ``first`` on if one of them is due, whoever led before."""
        every, scorer = self._score_every, self._scorer
        if scorer is None or not scorer.free or snapshot.version // every == (first - 1) // every:
            return
        if self._db.begin_score(self._run.id, self._me, snapshot.version):
            scorer.score(snapshot)

    def _watched(
        self, manifest: SnapshotManifest, chunks: Sequence[tuple[Digest, memoryview]]
    ) -> Iterator[tuple[Digest, memoryview]]:
        sent = 0
        for name, data in chunks:
            self.staging = Bar(f"↑ commit {manifest.version}", sent, manifest.length, "bytes")
            yield name, data
            sent += len(data)

    def _write_sample(self, snapshot: Snapshot) -> None:
        png = grid_png(Generator(self._gan, snapshot.ema).sample(SAMPLE_IMAGES, SAMPLE_SEED))
        self._db.write_sample(self._run.id, snapshot.version, png)
        self._inbox.put(SampleDrawn(snapshot.images, png))

    def _keep_commit(self, effect: Commit, snapshot: Snapshot) -> None:
        """The outbox holds the newest commit alone: it has the records of those before."""
        if self._kept_version == snapshot.version:
            return
        self._memory.keep_commit(effect.records, snapshot.manifest, snapshot.blob)
        self._kept_version = snapshot.version

    def _load(self, version: int) -> None:
        try:
            self._inbox.put(SnapshotRead(self.read_snapshot(version)))
        except WeightsError as error:
            self._inbox.put(SnapshotFailed(version, str(error)))

    def read_snapshot(self, version: int) -> Snapshot:
        """A committed version, at once: to be called from a thread that may wait for the rendezvous.

        Raises:
            WeightsError: it is not stored, or damaged.
            RendezvousError: the rendezvous cannot be reached, or refuses.
        """
        manifest = self._db.read_manifest(self._run.id, version)
        blob = b"".join(self._db.read_chunks(self._run.id, manifest.chunks))
        return self.decoded(manifest, blob)

    def decoded(self, manifest: SnapshotManifest, blob: bytes) -> Snapshot:
        """The snapshot with these bytes. Raises WeightsError if they are not what the manifest names."""
        layout = layout_for(self._gan.model)
        vectors = decode_snapshot(layout, manifest, blob, self._outer_memory)
        return Snapshot(layout, manifest.version, manifest.digest, manifest.images, *vectors)
