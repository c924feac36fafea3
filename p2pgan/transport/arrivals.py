"""What a transport hands to its owner, and where a peer listens."""

from __future__ import annotations

from dataclasses import dataclass

from p2pgan.protocol.events import LinkEnded
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import AnyMessage, BlobHeader


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer listens: two endpoints of the form ``tcp://host:port``."""

    control: str
    bulk: str


@dataclass(frozen=True, slots=True)
class Ways:
    """Between which peers in the table there is a way; each direction is a connection of its own."""

    out: frozenset[PeerId] = frozenset()
    """Those who were dialled and have let this peer in: what is sent to them now arrives."""
    inward: frozenset[PeerId] = frozenset()
    """Those who have ever dialled this peer and got through."""


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A valid message from an allowed peer; ``sender`` is the authenticated key of its connection."""

    sender: PeerId
    message: AnyMessage


@dataclass(frozen=True, slots=True)
class BlobArrived:
    """A whole bulk transfer whose seal and digest held. The receiver owns the writable ``payload``."""

    sender: PeerId
    header: BlobHeader
    payload: memoryview


@dataclass(frozen=True, slots=True)
class StrangerSeen:
    """A key that is not allowed tried to connect; it may belong to a peer registered a moment ago.

    At most one a second. A denied dialer keeps trying, so it gets in soon after it is allowed.
    """

    key: PeerId


@dataclass(frozen=True, slots=True)
class SharingFailed:
    """Payloads for or from a peer of this machine go as frames; ``reason`` may be what that peer says."""

    peer: PeerId | None
    """None if this machine has no memory to share with anybody."""
    reason: str


Arrival = MessageArrived | BlobArrived | LinkEnded | StrangerSeen | SharingFailed
