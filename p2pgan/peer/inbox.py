"""What the peer's threads put into its inbox, beside arrivals and the state machine's own events."""

from __future__ import annotations

import queue
from dataclasses import dataclass

from torch import Tensor

from p2pgan.gan.train import UnitStats
from p2pgan.peer.vectors import Snapshot
from p2pgan.protocol.events import Event
from p2pgan.protocol.ids import Span
from p2pgan.transport import Arrival


@dataclass(frozen=True)
class SpanTrained:
    """The training thread has been through one span."""

    span: Span
    stats: UnitStats


@dataclass(frozen=True)
class ContributionReady:
    """All spans of a ticket are trained."""

    ticket: int
    contribution: Tensor
    """How far the weights moved: float32 (P,), CPU."""
    images_per_s: float


@dataclass(frozen=True)
class SnapshotRead:
    """Committed weights came from the rendezvous."""

    snapshot: Snapshot


@dataclass(frozen=True)
class ThreadDied:
    """A thread met a defect or an error nobody can mend; the peer ends with it."""

    error: BaseException


Item = Event | Arrival | SpanTrained | ContributionReady | SnapshotRead | ThreadDied
Inbox = queue.SimpleQueue[Item]
