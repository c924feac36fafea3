"""Scenarios drawn by a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

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
    PeerSetup,
    Point,
    Scenario,
    SlowLink,
    SlowPeer,
    Sync,
    Weather,
)

SWARMS = (2, 3, 3, 4, 4, 5, 6, 8, 12)
"""Sizes of swarms, one drawn for each seed."""
FAULTS_S = 35.0
"""How long faults happen if nothing else is said."""
ROUND_S = 2.0
"""About what a round takes: how long faults happen during a number of rounds."""
BETWEEN_FAULTS_S = 5.0
CLOCKS = (0.0, 0.0, 3600.0, 86_400.0)
SPEEDS = (20.0, 50.0, 100.0)
UPLINKS = (10e6, 10e6, 1e6, 150e3)
"""Bytes per second. With the slowest one sending takes long enough that shards go by uplink."""


def draw_scenario(
    seed: int,
    *,
    peers: int | None = None,
    rounds: int = 0,
    churn: float | None = None,
    loss: float | None = None,
    sync: Sync = "deltas",
) -> Scenario:
    """Peers and faults of a seed.

    With ``churn`` (the share of peers that crash or leave in a minute) or ``loss`` (the share of
    messages that get lost) just these happen; with neither, faults of every kind.
    """
    random = Random(seed)
    count = peers if peers is not None else random.choice(SWARMS)
    until = round(max(FAULTS_S, rounds * ROUND_S), 3)
    setups = _draw_peers(random, count)
    if churn is None and loss is None:
        faults = _Drawer(random, [p.name for p in setups], until).everything()
    else:
        faults = _Drawer(random, [p.name for p in setups], until).churn(churn or 0.0)
    return Scenario(
        seed=seed,
        peers=setups,
        faults=tuple(faults),
        faults_until=until,
        rounds=rounds,
        loss=loss or 0.0,
        sync=sync,
    )


def _draw_peers(random: Random, count: int) -> tuple[PeerSetup, ...]:
    hidden = random.randrange(count) if random.random() < 0.3 else None
    return tuple(
        PeerSetup(
            name=f"p{index}",
            images_per_s=random.choice(SPEEDS),
            joins_at=round(random.uniform(0, 3 if index < 2 else 25), 3),
            clock_ahead=random.choice(CLOCKS),
            behind_nat=index == hidden,
            bytes_per_s=random.choice(UPLINKS),
        )
        for index in range(count)
    )


class _Drawer:
    """Draws faults; all are mended two seconds after ``until``."""

    def __init__(self, random: Random, names: list[str], until: float) -> None:
        self._random, self._names, self._until = random, names, until
        self._at = 0.0

    def everything(self) -> list[AnyFault]:
        kinds: list[Callable[[], AnyFault]] = [
            self._crash, self._crash_leader, self._crash_between, self._freeze, self._freeze_leader,
            self._leave, self._cut, self._partition, self._cut_database, self._database_down,
            self._crash_all, self._weather, self._slow_link, self._slow_peer,
        ]  # fmt: skip
        return self._draw(kinds, BETWEEN_FAULTS_S)

    def churn(self, share: float) -> list[AnyFault]:
        """Crashes and departures of ``share`` of the peers in a minute."""
        if share <= 0:
            return []
        return self._draw([self._crash, self._crash, self._leave], 60 / (share * len(self._names)))

    def _draw(self, kinds: list[Callable[[], AnyFault]], every: float) -> list[AnyFault]:
        faults = []
        time = self._random.uniform(1.0, 6.0)
        while time < self._until:
            self._at = round(time, 3)
            faults.append(self._random.choice(kinds)())
            time += self._random.expovariate(1 / every)
        return faults

    def _someone(self) -> str:
        return self._random.choice(self._names)

    def _two(self) -> tuple[str, str]:
        if len(self._names) < 2:
            return self._names[0], self._names[0]
        a, b = self._random.sample(self._names, 2)
        return a, b

    def _seconds(self, least: float, most: float) -> float:
        return round(min(self._random.uniform(least, most), self._until + 2 - self._at), 3)

    def _crash(self) -> AnyFault:
        journal = self._random.random() < 0.8
        return Crash(
            at=self._at, target=self._someone(), restart_after=self._seconds(0.5, 12), journal=journal
        )

    def _crash_leader(self) -> AnyFault:
        return Crash(at=self._at, target=LEADER, restart_after=self._seconds(0.5, 12))

    def _crash_between(self) -> AnyFault:
        point = self._random.choice(list(Point))
        target = self._someone() if point is Point.DONATION else LEADER
        return Crash(at=self._at, target=target, restart_after=self._seconds(0.5, 12), point=point)

    def _crash_all(self) -> AnyFault:
        journals = self._random.random() < 0.5
        return CrashAll(at=self._at, restart_within=self._seconds(0.5, 4), journals=journals)

    def _freeze(self) -> AnyFault:
        return Freeze(at=self._at, target=self._someone(), seconds=self._seconds(1, 12))

    def _freeze_leader(self) -> AnyFault:
        return Freeze(at=self._at, target=LEADER, seconds=self._seconds(5, 12))

    def _leave(self) -> AnyFault:
        return Leave(at=self._at, target=self._someone(), join_after=self._seconds(1, 10))

    def _cut(self) -> AnyFault:
        source, to = self._two()
        one_way = self._random.random() < 0.5
        return Cut(at=self._at, source=source, to=to, seconds=self._seconds(1, 10), one_way=one_way)

    def _partition(self) -> AnyFault:
        size = self._random.randint(1, max(1, len(self._names) - 1))
        inside = tuple(sorted(self._random.sample(self._names, size)))
        one_way = self._random.random() < 0.3
        return Partition(at=self._at, inside=inside, seconds=self._seconds(1, 10), one_way=one_way)

    def _cut_database(self) -> AnyFault:
        target = LEADER if self._random.random() < 0.7 else self._someone()
        return CutDatabase(at=self._at, target=target, seconds=self._seconds(1, 10))

    def _database_down(self) -> AnyFault:
        return DatabaseDown(at=self._at, seconds=self._seconds(0.5, 15))

    def _weather(self) -> AnyFault:
        choice = self._random.choice
        return Weather(
            at=self._at,
            seconds=self._seconds(2, 10),
            loss=choice([0.0, 0.05, 0.2]),
            duplicate=choice([0.0, 0.1]),
            slow=choice([0.0, 0.1, 0.3]),
        )

    def _slow_link(self) -> AnyFault:
        source, to = self._two()
        return SlowLink(
            at=self._at,
            source=source,
            to=to,
            seconds=self._seconds(2, 12),
            latency=self._random.choice([0.2, 1.0]),
            bytes_per_s=self._random.choice([5e3, 50e3]),
        )

    def _slow_peer(self) -> AnyFault:
        return SlowPeer(at=self._at, target=self._someone(), seconds=self._seconds(4, 15), factor=10.0)
