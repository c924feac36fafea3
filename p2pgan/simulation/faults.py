"""Lets the faults of a scenario happen, and mends them when their time is over."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.protocol.ids import PeerId
from p2pgan.simulation.network import DATABASE, Link, Slowness
from p2pgan.simulation.peer import SimulatedPeer
from p2pgan.simulation.scenario import (
    LEADER,
    AnyFault,
    Crash,
    CrashAll,
    Cut,
    CutDatabase,
    DatabaseDown,
    Freeze,
    Leave,
    Partition,
    SlowLink,
    SlowPeer,
    Spoil,
    Weather,
)
from p2pgan.simulation.world import World

AGAIN_S = 1.0
"""A peer that has not left yet is asked whether it has after this."""
MENDED_S = 2.0
"""So long after the last fault everything is mended."""


class Faults:
    """The faults of one simulation."""

    def __init__(self, world: World, peers: dict[PeerId, SimulatedPeer], until: float) -> None:
        self._world, self._peers, self._mended_at = world, peers, until + MENDED_S

    def schedule(self, faults: tuple[AnyFault, ...]) -> None:
        for fault in faults:
            self._world.at(fault.at, self._action(fault))

    def _action(self, fault: AnyFault) -> Callable[[], None]:
        return lambda: self._happen(fault)

    def _happen(self, fault: AnyFault) -> None:
        match fault:
            case Crash() | Freeze() | Leave() | SlowPeer() | CutDatabase() | Spoil():
                peer = self._target(fault.target)
                if peer is not None:
                    self._befall(fault, peer)
            case CrashAll():
                self._crash_all(fault)
            case DatabaseDown():
                self._database_down(fault)
            case Weather():
                self._weather(fault)
            case Cut() | Partition():
                self._cut(self._links(fault), fault.seconds)
            case SlowLink():
                self._slow_link(fault)

    def _target(self, name: str) -> SimulatedPeer | None:
        """The peer that a fault befalls, unless it is not there or asleep."""
        peer = self._peers.get((self._world.rendezvous.holder or "") if name == LEADER else name)
        return peer if peer is not None and peer.running and not peer.frozen else None

    def _befall(
        self, fault: Crash | Freeze | Leave | SlowPeer | CutDatabase | Spoil, peer: SimulatedPeer
    ) -> None:
        match fault:
            case Crash(point=None):
                peer.crash()
                self._start_again(peer, fault.restart_after, fault.journal)
            case Crash(point=point) if point is not None:
                peer.doom(point, lambda: self._start_again(peer, fault.restart_after, fault.journal))
                self._world.at(self._mended_at, peer.spare)
            case Freeze():
                peer.freeze()
                self._mend(fault.seconds, lambda: peer.thaw() if peer.alive and peer.frozen else None)
            case Leave():
                peer.leave()
                self._mend(fault.join_after, lambda: self._join_again(peer))
            case SlowPeer():
                self._world.note(peer.me, f"is {fault.factor:g} times slower")
                peer.slower = fault.factor
                self._mend(fault.seconds, lambda: self._speed_up(peer))
            case CutDatabase():
                self._cut({(peer.me, DATABASE)}, fault.seconds)
            case Spoil():
                self._world.note(peer.me, "spoils its contributions")
                peer.spoils = True
                self._mend(fault.seconds, lambda: self._come_to_reason(peer))

    def _mend(self, seconds: float, action: Callable[[], None]) -> None:
        self._world.at(min(self._world.now + seconds, self._mended_at), action)

    # -- peers -------------------------------------------------------------------------------

    def _start_again(self, peer: SimulatedPeer, after: float, journal: bool) -> None:
        if not journal:
            peer.outbox = None
        self._mend(after, lambda: None if peer.alive else peer.start())

    def _join_again(self, peer: SimulatedPeer) -> None:
        if peer.running:
            self._world.after(AGAIN_S, lambda: self._join_again(peer))
        else:
            peer.start()

    def _speed_up(self, peer: SimulatedPeer) -> None:
        peer.slower = 1.0

    def _come_to_reason(self, peer: SimulatedPeer) -> None:
        peer.spoils = False

    def _crash_all(self, fault: CrashAll) -> None:
        self._world.note("!!", "everything is killed")
        for peer in self._peers.values():
            if peer.running:
                peer.crash()
                after = self._world.random.uniform(0, fault.restart_within)
                self._start_again(peer, after, fault.journals)

    # -- links and the database --------------------------------------------------------------

    def _links(self, fault: Cut | Partition) -> set[Link]:
        if isinstance(fault, Partition):
            outside = self._peers.keys() - set(fault.inside)
            there_all = {(a, b) for a in fault.inside for b in outside}
            return there_all if fault.one_way else there_all | {(b, a) for a, b in there_all}
        there, back = (fault.source, fault.to), (fault.to, fault.source)
        return {there} if fault.one_way else {there, back}

    def _cut(self, links: set[Link], seconds: float) -> None:
        self._world.note("net", "cut: " + ", ".join(f"{a} to {b}" for a, b in sorted(links)))
        self._world.network.cut(links)
        self._mend(seconds, lambda: self._world.network.mend(links))

    def _slow_link(self, fault: SlowLink) -> None:
        link = (fault.source, fault.to)
        self._world.note("net", f"slow: {fault.source} to {fault.to}")
        self._world.network.slow_down(link, Slowness(fault.latency, fault.bytes_per_s))
        self._mend(fault.seconds, lambda: self._world.network.speed_up(link))

    def _weather(self, fault: Weather) -> None:
        network = self._world.network
        self._world.note("net", f"weather: loss {fault.loss}, twice {fault.duplicate}, slow {fault.slow}")
        network.loss, network.duplicate, network.slow = fault.loss, fault.duplicate, fault.slow
        self._mend(fault.seconds, network.clear_up)

    def _database_down(self, fault: DatabaseDown) -> None:
        world = self._world
        world.note("db", "goes away")
        world.outages += 1

        def back() -> None:
            world.outages -= 1
            world.note("db", "is back" if world.database_up else "stays away")

        self._mend(fault.seconds, back)
