"""Everything outside the peers: the virtual clock, the network, the database, the record of what happened."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.ids import Contribution, PeerId, VersionRecord
from p2pgan.simulation.invariants import Invariants
from p2pgan.simulation.network import DATABASE, Channel, Network
from p2pgan.simulation.rendezvous import ModelRendezvous


def symbol(*parts: object) -> str:
    """Stands for the digest of a vector that came about in this way."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class State:
    """A symbolic state of the weights: where it came from."""

    version: int
    digest: str
    parent: str
    contributions: tuple[Contribution, ...]


class World:
    """One seed fixes all of it."""

    def __init__(self, seed: int, config: ProtocolConfig, loss: float = 0.0) -> None:
        self.config = config
        # A stream of its own: the scenario of the same seed is drawn from another one.
        self.random = Random(f"world {seed}")
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self.network = Network(self.random, loss)
        self.outages = 0
        """Faults that keep everyone from the database."""
        self.genesis = symbol("genesis", seed)
        self.rendezvous = ModelRendezvous(self.genesis, config.images, config.unit_images)
        self.states: dict[str, State] = {self.genesis: State(0, self.genesis, "", ())}
        self.checked: dict[str, VersionRecord] = {}
        """Digest of weights -> the record that was compared with what is in them."""
        self.invariants = Invariants(self.violated, self.genesis, config.images)
        self.newest = 0
        """Highest version that any peer has applied."""
        self.contributed_at: dict[PeerId, float] = {}
        """When a version that a peer contributed to was last applied by anyone."""
        self.violations: list[str] = []
        self.trace: list[str] = []
        self.messages = 0
        self.statements = 0
        """Calls that reached the database."""

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do ``action`` at virtual time ``when``; equal times keep the order of the calls."""
        self._sequence += 1
        heapq.heappush(self._queue, (max(when, self.now), self._sequence, action))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        self.at(self.now + delay, action)

    def run_until(self, end: float) -> None:
        """Advance the clock to ``end`` or until nothing is left to do or an invariant is broken."""
        queue = self._queue
        while queue and queue[0][0] <= end and not self.violations:
            self.now, _, action = heapq.heappop(queue)
            action()
        self.now = max(self.now, end)

    def note(self, who: PeerId, text: str) -> None:
        self.trace.append(f"{self.now:9.3f} {who:>4} {text}")

    def violated(self, invariant: str, text: str) -> None:
        """Report a violation; the simulation ends here."""
        self.note("!!", f"{invariant}: {text}")
        self.violations.append(f"{self.now:.3f} {invariant}: {text}")

    def deliver(
        self, sender: PeerId, to: PeerId, channel: Channel, size: int, action: Callable[[], None]
    ) -> bool:
        """Send ``size`` bytes; ``action`` happens when they arrive, which they do or not."""
        self.messages += 1
        arrivals = self.network.arrivals(self.now, (sender, to), channel, size)
        for arrival in arrivals:
            self.at(arrival, action)
        return bool(arrivals)

    @property
    def database_up(self) -> bool:
        return self.outages == 0

    def reaches_database(self, peer: PeerId) -> bool:
        return self.database_up and not self.network.is_cut(peer, DATABASE)

    def applied(self, peer: PeerId, record: VersionRecord) -> None:
        """``peer`` now has the version of ``record``."""
        self.invariants.applied(peer, record)
        if record.version > self.newest:
            self.newest = record.version
            for contribution in record.contributions:
                self.contributed_at[contribution.peer] = self.now
