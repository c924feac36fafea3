"""A peer that poisons what it sends goes against the mean of all, and its curve shows it."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm


def test_a_poisoned_peer_is_seen_by_its_cosine_and_cured(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]
) -> None:
    swarm = swarms(postgres)
    swarm.create({"sync": {"aggregation": "median"}})
    swarm.start("ada", "ben", "cleo")
    swarm.together("ada", "ben", "cleo")
    cleo = {name: peer for peer, name in swarm.names().items()}["cleo"]

    def goes_along(since: int, along: bool) -> bool:
        points = swarm.database.peer_curves(swarm.run_id, [cleo], since + 1, 2**40, 100)
        told = [point.cosine for point in points if point.cosine is not None]
        return bool(told) and (told[-1] > 0) == along

    swarm.until(lambda: goes_along(0, along=True), "cleo learns what the others learn")
    swarm.peers["cleo"].poison()
    swarm.until(lambda: goes_along(swarm.committed - 5, along=False), "cleo goes against the others")
    swarm.peers["cleo"].cure()
    poisoned = swarm.committed
    swarm.until(lambda: goes_along(poisoned, along=True), "cleo is one of them again")
    assert swarm.problems() == []
