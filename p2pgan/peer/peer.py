"""The loop of a peer: takes what comes in, asks the state machine, performs what it says."""

from __future__ import annotations

import queue
import time
from collections import Counter
from collections.abc import Callable, Mapping

from torch import Tensor

from p2pgan.allocator import give_freed_memory_back
from p2pgan.failpoints import POISONED, poisons
from p2pgan.journal import UnitLine
from p2pgan.peer.answering import Answering
from p2pgan.peer.database import Database
from p2pgan.peer.inbox import (
    BatchDrawn,
    BatchFailed,
    ContributionReady,
    DeviationReady,
    Inbox,
    Item,
    PartReady,
    SampleDrawn,
    SnapshotRead,
    SpanTrained,
    ThreadDied,
    TrainingNoticed,
)
from p2pgan.peer.log import Log
from p2pgan.peer.memory import Memory
from p2pgan.peer.observer import Observer
from p2pgan.peer.perform import Performer
from p2pgan.peer.training import TrainingThread
from p2pgan.peer.vectors import Snapshot, Vectors
from p2pgan.peer.wall import Wall
from p2pgan.peer.worries import Worries
from p2pgan.protocol.events import (
    Event,
    LeaveRequested,
    OffencesCounted,
    PartTrained,
    Received,
    SnapshotInstalled,
    StrangerSeen,
    Tick,
    TrainingDone,
    UplinkMeasured,
    WallSeen,
)
from p2pgan.protocol.ids import PeerId, VersionRecord
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import MAX_OFFENDERS, DrawRequest
from p2pgan.transport import BlobArrived, MessageArrived, SharingFailed
from p2pgan.transport import StrangerSeen as StrangerArrived

TICK_S = 0.1
COUNT_EVERY_S = 1.0
GIVE_BACK_EVERY_S = 30.0
"""Between two times at which memory that is free goes back: what is kept grows by some megabytes a second."""
WORTH_TELLING = 0.25
"""By so much the bandwidth must have changed."""
MOST_BYTES_PER_S = 1e9
"""What a heartbeat has room for; whoever is faster is fast enough for every codec."""


class Peer:
    """Everything of one peer, wired together; ``run`` returns when it has left or the run is over."""

    def __init__(
        self,
        machine: Machine,
        performer: Performer,
        vectors: Vectors,
        training: TrainingThread,
        database: Database,
        memory: Memory,
        inbox: Inbox,
        log: Log,
        observer: Observer,
        answering: Answering,
        refused: Callable[[], Mapping[PeerId, int]],
        uplink: Callable[[], float],
        wall: Wall,
        worries: Worries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine, self._performer, self._vectors = machine, performer, vectors
        self._training, self._database, self._memory = training, database, memory
        self._inbox, self._log, self._observer, self._clock = inbox, log, observer, clock
        self._answering = answering
        self._refused = refused
        """What the transport refused, by sender, as often as it did so far."""
        self._uplink = uplink
        """Bytes per second as the transport measured them."""
        self._told_uplink = 0.0
        self._offences: Counter[PeerId] = Counter()
        self._next_count = 0.0
        self._next_give_back = 0.0
        self._wall, self._worries = wall, worries

    def leave(self) -> None:
        """Ask the peer to leave cleanly; may be called from a signal handler."""
        self._inbox.put(LeaveRequested())

    def restore(self, snapshot: Snapshot, ledger: tuple[VersionRecord, ...]) -> None:
        """Start from weights that the outbox kept."""
        self._install(snapshot, ledger)

    def run(self) -> str:
        """Loop until the state machine is done; the reason.

        Raises:
            P2pganError: what a thread of this peer could not get over.
        """
        self._training.start()
        self._database.start()
        self._answering.start()
        next_tick = self._clock()
        while self._performer.finished is None:
            now = self._clock()
            if now >= next_tick:
                next_tick = now + TICK_S
                self._look_around(now)
                self._handle(Tick())
                if self._log.draws:
                    self._log.standing(self._observer.standing())
            try:
                item = self._inbox.get(timeout=max(0.0, next_tick - self._clock()))
            except queue.Empty:
                continue
            self._take(item)
        self._answering.leave()
        return self._performer.finished

    def _take(self, item: Item) -> None:
        match item:
            case MessageArrived(sender, DrawRequest() as request):
                self._answering.asked(sender, request)
            case MessageArrived(sender, message):
                self._handle(Received(sender, message))
            case BlobArrived():
                self._performer.blob_arrived(item)
            case SharingFailed(peer, reason):
                self._performer.note_sharing(peer and self._machine.core.name(peer), reason)
            case StrangerArrived():
                self._handle(StrangerSeen())
            case SpanTrained():
                self._span_trained(item)
            case TrainingNoticed(text, collapsed):
                self._performer.training_noticed(text, collapsed)
            case SampleDrawn(images, png):
                self._log.samples(images, png)
            case PartReady():
                self._part_ready(item)
            case ContributionReady():
                self._contribution_ready(item)
            case SnapshotRead(snapshot):
                self._performer.stop_training()
                self._install(snapshot, ())
            case DeviationReady():
                self._performer.mixer.shared(item)
            case BatchDrawn():
                self._answering.drawn(item)
            case BatchFailed():
                self._answering.failed(item)
            case ThreadDied(error):
                raise error
            case _:
                self._handle(item)

    def _part_ready(self, item: PartReady) -> None:
        if item.ticket == self._machine.member.ticket:
            self._vectors.partial = _as_it_leaves(item.contribution)
            self._handle(PartTrained(item.ticket, item.start, item.stop))

    def _contribution_ready(self, item: ContributionReady) -> None:
        member = self._machine.member
        contribution = _as_it_leaves(item.contribution)
        if item.ticket == member.ticket:
            self._vectors.contribution = contribution
        elif item.ticket == member.ahead_ticket:
            self._vectors.contribution_ahead = contribution
        else:
            return
        self._handle(TrainingDone(item.ticket, item.images_per_s, item.losses))

    def _look_around(self, now: float) -> None:
        if now < self._next_count:
            return
        self._next_count = now + COUNT_EVERY_S
        if now >= self._next_give_back:
            self._next_give_back = now + GIVE_BACK_EVERY_S
            give_freed_memory_back()
        if (walled := self._wall.stands(now)) != self._machine.core.walled:
            self._handle(WallSeen(walled))
        self._worries.look(now)
        counts = Counter(self._refused()) + self._performer.offences + self._inbox.floods
        if counts != self._offences:
            self._offences = counts
            self._handle(OffencesCounted(tuple(counts.most_common(MAX_OFFENDERS))))
        measured = min(self._uplink(), MOST_BYTES_PER_S)
        if abs(measured - self._told_uplink) > WORTH_TELLING * self._told_uplink:
            self._told_uplink = measured
            self._handle(UplinkMeasured(measured))

    def _handle(self, event: Event) -> None:
        for effect in self._machine.handle(self._clock(), event):
            self._performer.perform(effect)

    def _install(self, snapshot: Snapshot, ledger: tuple[VersionRecord, ...]) -> None:
        self._vectors.install(snapshot)
        self._handle(SnapshotInstalled(snapshot.manifest, ledger))

    def _span_trained(self, item: SpanTrained) -> None:
        stats = item.stats
        self._log.unit(stats)
        self._memory.add_unit(
            UnitLine(
                epoch=item.span.epoch,
                unit=item.span.unit,
                images=stats.images,
                seconds=stats.seconds,
                loss_g=stats.loss_g,
                loss_d=stats.loss_d,
                d_real=stats.d_real,
                d_fake=stats.d_fake,
                images_per_s=stats.images_per_s,
                skipped=stats.skipped,
                sign_real=stats.sign_real,
                sign_held_out=stats.sign_held_out,
                r1=stats.r1,
                grad_g=stats.grad_g,
                grad_d=stats.grad_d,
                diversity=stats.diversity,
            ),
        )


def _as_it_leaves(contribution: Tensor) -> Tensor:
    return POISONED * contribution if poisons() else contribution
