"""The network between the peers: latency, bandwidth, loss, cuts, and machines that only dial out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import log
from random import Random

from p2pgan.protocol.ids import PeerId

DATABASE = "the database"
"""The other end of a peer's link to the rendezvous."""

LEAST_DELAY_S = 0.001
MEAN_DELAY_S = 0.01
"""On top of the least one, exponentially distributed."""
SLOW_DELAY_S = 2.0

Link = tuple[PeerId, PeerId]
"""From, to."""


class Channel(IntEnum):
    """Each is one TCP connection per direction of a link: in order by itself, not with the other."""

    CONTROL = 0
    BULK = 1


@dataclass(frozen=True)
class Slowness:
    """What a slow link has instead of the usual."""

    latency: float
    bytes_per_s: float


class Network:
    """Says when, if ever, a message arrives."""

    def __init__(self, random: Random, loss: float = 0.0) -> None:
        self._random = random
        self.usual_loss = loss
        self.loss = loss
        self.duplicate = 0.0
        self.slow = 0.0
        """Share of messages that take up to ``SLOW_DELAY_S``."""
        self.uplinks: dict[PeerId, float] = {}
        """Bytes per second."""
        self.behind_nat: set[PeerId] = set()
        self._cuts: dict[Link, int] = {}
        """How many faults cut a link: it carries again when all are mended."""
        self._slow_links: dict[Link, Slowness] = {}
        self._busy: dict[PeerId, float] = {}
        """Until when an uplink has bulk to send."""
        self._last_arrival: dict[tuple[PeerId, PeerId, Channel], float] = {}

    def arrivals(self, now: float, link: Link, channel: Channel, size: int) -> tuple[float, ...]:
        """When a message of ``size`` bytes arrives: never, once, or twice."""
        if self._cuts and link in self._cuts:
            return ()
        source, to = link
        if source in self.behind_nat and to in self.behind_nat:
            return ()
        if self.loss and self._random.random() < self.loss:
            return ()
        arrival = self._sent(now, link, channel, size) + self._latency(link)
        key = (source, to, channel)
        arrival = max(arrival, self._last_arrival.get(key, 0.0))
        self._last_arrival[key] = arrival
        if self.duplicate and self._random.random() < self.duplicate:
            return arrival, arrival + self._latency(link)
        return (arrival,)

    def _sent(self, now: float, link: Link, channel: Channel, size: int) -> float:
        """When the last byte is out. Bulk waits for bulk of the same sender; control is small."""
        slowness = self._slow_links.get(link) if self._slow_links else None
        if channel is Channel.CONTROL and slowness is None:
            return now
        rate = self.uplinks[link[0]]
        if slowness is not None:
            return now + size / min(rate, slowness.bytes_per_s)
        done = max(now, self._busy.get(link[0], 0.0)) + size / rate
        self._busy[link[0]] = done
        return done

    def _latency(self, link: Link) -> float:
        random = self._random
        if self._slow_links and link in self._slow_links:
            return self._slow_links[link].latency * random.uniform(0.9, 1.1)
        if self.slow and random.random() < self.slow:
            return random.uniform(MEAN_DELAY_S, SLOW_DELAY_S)
        # As random.expovariate, which takes twice as long for checking its arguments.
        return LEAST_DELAY_S - log(1.0 - random.random()) * MEAN_DELAY_S

    def is_cut(self, source: PeerId, to: PeerId) -> bool:
        return (source, to) in self._cuts

    def cut(self, links: set[Link]) -> None:
        for link in links:
            self._cuts[link] = self._cuts.get(link, 0) + 1

    def mend(self, links: set[Link]) -> None:
        for link in links:
            self._cuts[link] -= 1
            if not self._cuts[link]:
                del self._cuts[link]

    def slow_down(self, link: Link, slowness: Slowness) -> None:
        self._slow_links[link] = slowness

    def speed_up(self, link: Link) -> None:
        self._slow_links.pop(link, None)

    def clear_up(self) -> None:
        """The weather is over."""
        self.loss, self.duplicate, self.slow = self.usual_loss, 0.0, 0.0
