"""Postgres as the place where peers meet and as the memory of a run."""

from p2pgan.rendezvous.postgres import Rendezvous
from p2pgan.rendezvous.rows import (
    CommitOutcome,
    Dataset,
    EpochProgress,
    EventRow,
    LeaseRow,
    MetricRow,
    PeerList,
    PeerRegistration,
    PeerRow,
    PeerStat,
    PeerState,
    PeerStatus,
    Progress,
    Renewal,
    RunRow,
    RunState,
    SampleRow,
    StatusSnapshot,
    UnitClaim,
    UnitCounts,
)

__all__ = [
    "CommitOutcome",
    "Dataset",
    "EpochProgress",
    "EventRow",
    "LeaseRow",
    "MetricRow",
    "PeerList",
    "PeerRegistration",
    "PeerRow",
    "PeerStat",
    "PeerState",
    "PeerStatus",
    "Progress",
    "Rendezvous",
    "Renewal",
    "RunRow",
    "RunState",
    "SampleRow",
    "StatusSnapshot",
    "UnitClaim",
    "UnitCounts",
    "open_rendezvous",
]


def open_rendezvous(place: str) -> Rendezvous:
    """The rendezvous at ``place``, any libpq DSN; it connects at the first call, and is a context manager."""
    return Rendezvous(place)
