"""Peers of unequal speed: a round ends for all of them together, so that nobody waits."""

from __future__ import annotations

from collections import defaultdict

import pytest

from p2pgan.protocol.events import Event, TrainingDone
from p2pgan.protocol.ids import Span, images_in
from p2pgan.simulation.peer import SimulatedPeer
from p2pgan.simulation.perform import Performer
from p2pgan.simulation.run import simulate
from p2pgan.simulation.scenario import PeerSetup, Scenario, Sync

SPEEDS = {"a": 25.0, "b": 25.0, "c": 50.0, "d": 100.0}
FROM_S, TO_S = 20.0, 60.0
"""Everyone is there, and known to be as fast as it is."""
MOST_IDLE = 0.1


class Watch:
    """When each simulated peer trained, and how many images."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images: dict[str, int] = defaultdict(int)
        self._busy: dict[str, float] = defaultdict(float)
        self._begun: dict[tuple[str, int], tuple[float, int]] = {}
        train, take = Performer._train, SimulatedPeer.take

        def watched_train(performer: Performer, ticket: int, spans: tuple[Span, ...]) -> None:
            peer = performer._peer
            self._begun[peer.me, ticket] = peer.world.now, images_in(spans)
            train(performer, ticket, spans)

        def watched_take(peer: SimulatedPeer, event: Event) -> None:
            if isinstance(event, TrainingDone):
                begun, images = self._begun[peer.me, event.ticket]
                self._count(peer.me, begun, peer.world.now, images)
            take(peer, event)

        monkeypatch.setattr(Performer, "_train", watched_train)
        monkeypatch.setattr(SimulatedPeer, "take", watched_take)

    def _count(self, peer: str, begun: float, ended: float, images: int) -> None:
        self._busy[peer] += max(0.0, min(ended, TO_S) - max(begun, FROM_S))
        if FROM_S <= ended <= TO_S:
            self.images[peer] += images

    def idle(self) -> dict[str, float]:
        """Share of the time in which each peer trained nothing."""
        return {peer: 1 - self._busy[peer] / (TO_S - FROM_S) for peer in SPEEDS}


def unequal(seed: int, sync: Sync) -> Scenario:
    peers = tuple(PeerSetup(name=name, images_per_s=speed) for name, speed in SPEEDS.items())
    return Scenario(seed=seed, peers=peers, faults_until=TO_S, sync=sync)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sync", ["deltas", "gossip"])
def test_with_speeds_1_1_2_4_nobody_idles_more_than_a_tenth(
    monkeypatch: pytest.MonkeyPatch, seed: int, sync: Sync
) -> None:
    watch = Watch(monkeypatch)
    # Where the database's word that the pen is theirs is lost, all wait until the lease has run out.
    monkeypatch.setattr("p2pgan.simulation.perform.LOST_ANSWERS", 0.0)

    outcome = simulate(unequal(seed, sync))

    assert outcome.violations == ()
    assert max(watch.idle().values()) <= MOST_IDLE, watch.idle()
    for peer, speed in SPEEDS.items():
        share = watch.images[peer] / watch.images["a"]
        assert share == pytest.approx(speed / SPEEDS["a"], rel=0.15), "work goes by speed"
