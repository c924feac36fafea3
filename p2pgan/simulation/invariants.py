"""What must hold at every moment of a simulation; the rules themselves are in ``protocol.history``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from p2pgan.protocol.history import Agreement, Chain, Tally
from p2pgan.protocol.ids import PeerId, VersionRecord

Report = Callable[[str, str], None]
"""(invariant, what is wrong)"""

ONE_PEN = "one pen"
ALL_OR_NOTHING = "all or nothing"
EXACTLY_ONCE = "exactly once"
NOTHING_LOST = "nothing lost"
PROGRESS = "progress"
SOUND = "sound"


class Invariants:
    """Told of everything that happens; reports what must not."""

    def __init__(self, report: Report, genesis: str, images: int) -> None:
        self._report = report
        self._agreement = Agreement()
        self._chain = Chain(genesis)
        self.tally = Tally(images)
        self._trusted: dict[PeerId, float] = {}
        """Until when a leader trusts its lease."""
        self._committed: dict[int, str] = {}

    def trusts(self, peer: PeerId, until: float, now: float) -> None:
        """``peer`` takes itself for the leader until then: nobody else may at the same time."""
        self._trusted[peer] = until
        if until <= now:
            return
        for other, theirs in self._trusted.items():
            if other != peer and theirs > now:
                self._report(ONE_PEN, f"{other} and {peer} both trust their leases")

    def follows(self, peer: PeerId) -> None:
        """``peer`` does not lead, or is dead."""
        self._trusted.pop(peer, None)

    def applied(self, peer: PeerId, record: VersionRecord) -> None:
        for problem in self._agreement.add(peer, record):
            self._report(ALL_OR_NOTHING, problem)

    def committed(self, records: Iterable[VersionRecord]) -> None:
        """The database has taken these."""
        for record in records:
            self._committed[record.version] = record.digest
            for problem in self._chain.add(record):
                self._report(ONE_PEN, problem)
            for problem in self.tally.add(record):
                self._report(EXACTLY_ONCE, problem)

    def acknowledged(self, record: VersionRecord) -> None:
        """A leader was told that this is committed."""
        if self._committed.get(record.version) != record.digest:
            self._report(NOTHING_LOST, f"version {record.version} was acknowledged and is not there")

    def complete(self, epochs: int) -> None:
        """The database takes the first ``epochs`` for complete."""
        for problem in self.tally.lacking(epochs):
            self._report(EXACTLY_ONCE, problem)
