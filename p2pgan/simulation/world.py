"""The virtual clock, the network between peers, and the record of what happened."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.ids import Contribution, PeerId, VersionRecord
from p2pgan.simulation.rendezvous import ModelRendezvous


def symbol(*parts: object) -> str:
    """Stands for the digest of a vector that came about in this way."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@dataclass
class NetworkModel:
    """Delays in seconds; probabilities per message."""

    least_delay: float = 0.001
    mean_delay: float = 0.01
    loss: float = 0.0
    duplicate: float = 0.0
    slow: float = 0.0
    """Share of messages that take up to ``slow_delay``."""
    slow_delay: float = 2.0


@dataclass(frozen=True)
class State:
    """A symbolic state of the weights: where it came from."""

    version: int
    digest: str
    parent: str
    contributions: tuple[Contribution, ...]


@dataclass
class World:
    """Everything outside the peers. One seed fixes all of it."""

    seed: int
    config: ProtocolConfig
    network: NetworkModel = field(default_factory=NetworkModel)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._last_delivery: dict[tuple[PeerId, PeerId, str], float] = {}
        self.cut: set[tuple[PeerId, PeerId]] = set()
        """Directed links that carry nothing."""
        self.database_up = True
        self.genesis = symbol("genesis", self.seed)
        self.rendezvous = ModelRendezvous(self.genesis)
        self.states: dict[str, State] = {self.genesis: State(0, self.genesis, "", ())}
        self.applied: list[tuple[float, PeerId, VersionRecord]] = []
        self.violations: list[str] = []
        self.trace: list[str] = []
        self.messages = 0

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do ``action`` at virtual time ``when``; equal times keep the order of the calls."""
        self._sequence += 1
        heapq.heappush(self._queue, (max(when, self.now), self._sequence, action))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        self.at(self.now + delay, action)

    def run_until(self, end: float) -> None:
        """Advance the clock to ``end`` or until nothing is left to do or an invariant is broken."""
        while self._queue and self._queue[0][0] <= end and not self.violations:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = max(self.now, end)

    def note(self, who: PeerId, text: str) -> None:
        self.trace.append(f"{self.now:9.3f} {who:>4} {text}")

    def violated(self, invariant: str, text: str) -> None:
        self.note("!!", f"{invariant}: {text}")
        self.violations.append(f"{self.now:.3f} {invariant}: {text}")

    def delay(self) -> float:
        model = self.network
        if model.slow and self.random.random() < model.slow:
            return self.random.uniform(model.mean_delay, model.slow_delay)
        return model.least_delay + self.random.expovariate(1 / model.mean_delay)

    def deliver(self, sender: PeerId, to: PeerId, channel: str, action: Callable[[], None]) -> None:
        """In order on each channel of a link, as over TCP; lost where the link is cut or unlucky."""
        self.messages += 1
        if (sender, to) in self.cut or self.random.random() < self.network.loss:
            return
        key = (sender, to, channel)
        when = max(self.now + self.delay(), self._last_delivery.get(key, 0.0))
        self._last_delivery[key] = when
        self.at(when, action)
        if self.network.duplicate and self.random.random() < self.network.duplicate:
            self.at(when + self.delay(), action)
