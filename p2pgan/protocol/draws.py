"""What can happen to an order for images, and what it then has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from p2pgan.protocol.ids import PeerId


@dataclass(frozen=True)
class Looked:
    """Time has passed."""


@dataclass(frozen=True)
class PeersSeen:
    """Who is in the run now, and what people call them."""

    names: Mapping[PeerId, str]


@dataclass(frozen=True)
class Answered:
    """A peer sent as many images as a batch has."""

    peer: PeerId
    batch: int
    difference: int = 0
    """Of the trial: grey levels between the worst pixel and this machine's."""


@dataclass(frozen=True)
class Wrong:
    """A peer sent what is no answer."""

    peer: PeerId
    reason: str


@dataclass(frozen=True)
class Refused:
    """A peer does not draw a batch."""

    peer: PeerId
    batch: int
    busy: bool
    reason: str


@dataclass(frozen=True)
class HungUp:
    """The connection to a peer ended; it may come back."""

    peer: PeerId


@dataclass(frozen=True)
class Drawn:
    """This machine drew a batch."""

    batch: int


Event = Looked | PeersSeen | Answered | Wrong | Refused | HungUp | Drawn


@dataclass(frozen=True)
class Ask:
    """Ask a peer to draw a batch."""

    peer: PeerId
    batch: int
    reason: Literal["trial", "next"]


@dataclass(frozen=True)
class DrawHere:
    """Draw a batch on this machine."""

    batch: int
    reason: Literal["trial", "next", "out for longest"]


@dataclass(frozen=True)
class Keep:
    """The images of the batch that just came are the order's."""

    batch: int
    peer: PeerId | None
    """Who drew it; None: this machine."""


@dataclass(frozen=True)
class Tell:
    """A line for who waits for the images."""

    text: str


Effect = Ask | DrawHere | Keep | Tell
