"""What the peer's threads put into its inbox, beside arrivals and the state machine's own events."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass

from torch import Tensor

from p2pgan.gan.train import UnitStats
from p2pgan.peer.vectors import Snapshot
from p2pgan.protocol.effects import ShareDeviation
from p2pgan.protocol.events import Event
from p2pgan.protocol.ids import PeerId, Span
from p2pgan.protocol.messages import DrawRequest
from p2pgan.protocol.metrics import Losses
from p2pgan.transport import Arrival, BlobArrived, MessageArrived

MOST_WAITING = 512
"""Messages and blobs of one sender that wait to be looked at."""
MOST_WAITING_BYTES = 256 << 20
"""Their payloads; a single larger one may wait as well."""


@dataclass(frozen=True)
class SpanTrained:
    """The training thread has been through one span."""

    span: Span
    stats: UnitStats


@dataclass(frozen=True)
class TrainingNoticed:
    """The training had to help itself, or its signals say that something is wrong; a line for people."""

    text: str
    collapsed: bool = False
    """Whether only going back to older weights helps."""


@dataclass(frozen=True)
class SampleDrawn:
    """This peer holds the pen and drew a grid for everyone, when the run had counted ``images``."""

    images: int
    png: bytes


@dataclass(frozen=True)
class PartReady:
    """A part of a ticket's contribution is what it will be; the rest is still computed."""

    ticket: int
    contribution: Tensor
    """float32 (P,), CPU; other threads write to the rest of it."""
    start: int
    stop: int


@dataclass(frozen=True)
class ContributionReady:
    """All spans of a ticket are trained."""

    ticket: int
    contribution: Tensor
    """How far the weights moved: float32 (P,), CPU."""
    images_per_s: float
    losses: Losses | None
    """What it showed."""


@dataclass(frozen=True)
class DeviationReady:
    """What the training was asked for, to mix with others."""

    asked: ShareDeviation
    deviation: Tensor
    """How far the weights are from the version: float32 (P,), CPU."""


@dataclass(frozen=True)
class SnapshotRead:
    """Committed weights came from the rendezvous."""

    snapshot: Snapshot


@dataclass(frozen=True)
class BatchDrawn:
    """Images that ``sender`` asked for: uint8 ``(images, 3, H, W)``."""

    sender: PeerId
    request: DrawRequest
    images: Tensor


@dataclass(frozen=True)
class BatchFailed:
    """They could not be drawn."""

    sender: PeerId
    request: DrawRequest
    busy: bool
    """Whether it may go later."""
    reason: str


@dataclass(frozen=True)
class ThreadDied:
    """A thread met a defect or an error nobody can mend; the peer ends with it."""

    error: BaseException


Item = (
    Event
    | Arrival
    | SpanTrained
    | TrainingNoticed
    | SampleDrawn
    | PartReady
    | ContributionReady
    | DeviationReady
    | SnapshotRead
    | BatchDrawn
    | BatchFailed
    | ThreadDied
)


class Inbox:
    """The queue between the peer's threads and its loop; what one other peer can put into it is bounded."""

    def __init__(self) -> None:
        self.floods: Counter[PeerId] = Counter()
        """Messages and blobs that were dropped because too much of their sender was waiting."""
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: Counter[PeerId] = Counter()
        self._waiting_bytes: Counter[PeerId] = Counter()

    def put(self, item: Item) -> None:
        """Add an item of this process, which is never dropped."""
        self._items.put(item)

    def deliver(self, arrival: Arrival) -> None:
        """Add what came from another peer, if there is room for it."""
        if isinstance(arrival, MessageArrived | BlobArrived) and not self._admit(arrival):
            return
        self._items.put(arrival)

    def empty(self) -> bool:
        return self._items.empty()

    def get(self, timeout: float = 0.0) -> Item:
        """The next item. Raises queue.Empty if none comes within ``timeout`` seconds."""
        item = self._items.get(timeout=timeout)
        if isinstance(item, MessageArrived | BlobArrived):
            with self._lock:
                self._waiting[item.sender] -= 1
                self._waiting_bytes[item.sender] -= _size(item)
        return item

    def _admit(self, arrival: MessageArrived | BlobArrived) -> bool:
        sender, size = arrival.sender, _size(arrival)
        with self._lock:
            waiting = self._waiting_bytes[sender]
            if self._waiting[sender] >= MOST_WAITING or (waiting and waiting + size > MOST_WAITING_BYTES):
                self.floods[sender] += 1
                return False
            self._waiting[sender] += 1
            self._waiting_bytes[sender] += size
        return True


def _size(arrival: MessageArrived | BlobArrived) -> int:
    return len(arrival.payload) if isinstance(arrival, BlobArrived) else 0
