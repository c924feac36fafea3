"""Faults drawn by seed: what happens to machines nobody controls."""

from __future__ import annotations

from functools import partial

from p2pgan.simulation.peer import SimulatedPeer
from p2pgan.simulation.world import NetworkModel, World


class Faults:
    """Draws faults for ``[0, until)``; every fault is mended before ``until`` plus a few seconds."""

    def __init__(self, world: World, peers: dict[str, SimulatedPeer], until: float) -> None:
        self._world, self._peers, self._until = world, peers, until

    def schedule(self) -> None:
        random = self._world.random
        time = random.uniform(1.0, 6.0)
        while time < self._until:
            fault = random.choice(
                [self._crash, self._crash_leader, self._freeze, self._cut, self._isolate, self._database,
                 self._everything, self._weather, self._cut_database]
            )  # fmt: skip
            self._world.at(time, fault)
            time += random.expovariate(1 / 5.0)

    def _someone(self) -> SimulatedPeer | None:
        running = [p for p in self._peers.values() if p.alive and not p.frozen and not p.finished]
        return self._world.random.choice(running) if running else None

    def _restart(self, peer: SimulatedPeer, most: float = 12.0) -> None:
        delay = min(self._world.random.uniform(0.5, most), self._until + 2 - self._world.now)
        self._world.after(delay, lambda: None if peer.alive else peer.start())

    def _crash(self) -> None:
        peer = self._someone()
        if peer is not None:
            peer.crash()
            self._restart(peer)

    def _crash_leader(self) -> None:
        """At a moment drawn within the next round, so that every step is hit."""
        self._world.after(self._world.random.uniform(0, 4.0), self._crash_leader_now)

    def _crash_leader_now(self) -> None:
        holder = self._world.rendezvous.holder
        peer = self._peers.get(holder or "")
        if peer is not None and peer.alive and not peer.frozen:
            peer.crash()
            self._restart(peer)

    def _freeze(self) -> None:
        peer = self._someone()
        if peer is not None:
            peer.freeze()
            wake = min(self._world.random.uniform(1, 12), self._until + 2 - self._world.now)
            self._world.after(wake, lambda: peer.thaw() if peer.alive and peer.frozen else None)

    def _mend(self, links: set[tuple[str, str]]) -> None:
        delay = min(self._world.random.uniform(1, 10), self._until + 2 - self._world.now)
        self._world.after(delay, partial(self._world.cut.difference_update, links))

    def _cut_links(self, links: set[tuple[str, str]], text: str) -> None:
        self._world.note("net", text)
        self._world.cut |= links
        self._mend(links)

    def _cut(self) -> None:
        """One link, one way or both."""
        a, b = self._world.random.sample(sorted(self._peers), 2)
        links = {(a, b)} if self._world.random.random() < 0.5 else {(a, b), (b, a)}
        self._cut_links(links, f"cut {sorted(links)}")

    def _isolate(self) -> None:
        names = sorted(self._peers)
        inside = set(self._world.random.sample(names, self._world.random.randint(1, len(names) - 1)))
        links = {(a, b) for a in names for b in names if (a in inside) != (b in inside)}
        self._cut_links(links, f"partition {sorted(inside)}")

    def _cut_database(self) -> None:
        holder = self._world.rendezvous.holder
        if holder is not None:
            self._cut_links({(holder, "db")}, f"{holder} cannot reach the database")

    def _database(self) -> None:
        world = self._world
        world.note("db", "goes away")
        world.database_up = False
        delay = min(world.random.uniform(0.5, 15), self._until + 2 - world.now)

        def back() -> None:
            world.database_up = True
            world.note("db", "is back")

        world.after(delay, back)

    def _everything(self) -> None:
        self._world.note("!!", "everything is killed")
        for peer in self._peers.values():
            if peer.alive and not peer.finished:
                peer.crash()
                self._restart(peer, 4.0)

    def _weather(self) -> None:
        """Losses, duplicates and long delays for a while."""
        world = self._world
        random = world.random
        world.network = NetworkModel(
            loss=random.choice([0.0, 0.05, 0.2]),
            duplicate=random.choice([0.0, 0.1]),
            slow=random.choice([0.0, 0.1, 0.3]),
        )
        world.note("net", f"weather: {world.network}")

        def clear() -> None:
            world.network = NetworkModel()

        world.after(min(random.uniform(2, 10), self._until + 2 - world.now), clear)
