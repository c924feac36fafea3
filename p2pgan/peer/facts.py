"""What a peer, or a training alone, has to say. Facts are emitted in one place and rendered in several.

A line in a log, a line of JSON, a picture on a terminal and an experiment tracker all take the same facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from p2pgan.protocol.ids import VersionRecord

if TYPE_CHECKING:  # torch comes with it, and the first line comes before torch
    from p2pgan.gan.units import UnitStats


@dataclass(frozen=True, slots=True)
class Noted:
    """A decision and its reason, or something that happened."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class UnitDone:
    """Spans of a unit were trained here."""

    stats: UnitStats


@dataclass(frozen=True, slots=True)
class VersionReached:
    """This peer's weights have become a version."""

    record: VersionRecord
    members: int
    """How many contributed to it."""
    images: int
    """Trained for it."""
    seconds: float
    """Since the version before."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """This peer holds the pen and drew a grid for everyone. Lines have no room for it."""

    images: int
    """That the run had counted by then."""
    png: bytes


@dataclass(frozen=True, slots=True)
class Bar:
    """Something under way, and how far it is."""

    what: str
    done: int
    total: int
    unit: Literal["images", "bytes"]


@dataclass(frozen=True, slots=True)
class Swarm:
    """A run as one of its peers knows it."""

    doing: str
    """What this peer is at, in a word or two."""
    peers: int
    """How many are here, this one included."""
    leader: str | None
    leads: bool
    """Whether this peer is the leader."""
    term: int
    version: int
    committed: int
    since_commit_s: float | None
    """Since this peer learned of the last commit; None before the first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How things are at this moment: true for a quarter of a second, so that no log keeps it."""

    title: str
    bars: tuple[Bar, ...]
    swarm: Swarm | None = None
    """None where one process trains alone."""
    board: tuple[str, ...] = ()
    """What a class reads off this terminal for as long as it comes."""


Fact = Noted | UnitDone | VersionReached | Sampled | Standing


class Renderer(Protocol):
    """Somebody who shows facts, or passes them on. May be told from several threads."""

    def tell(self, fact: Fact) -> None:
        """Show ``fact``, or leave it out."""
        ...

    def close(self) -> None:
        """Nothing follows."""
        ...
