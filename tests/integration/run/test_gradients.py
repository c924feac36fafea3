"""``sync: gradients`` among processes: every step is a round, and a joiner gets the optimizer's state."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm

SETTINGS = {"sync": {"mode": "gradients", "local_steps": 2}}


def test_peers_make_the_same_steps_and_a_late_joiner_goes_on_with_them(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]
) -> None:
    swarm = swarms(postgres)
    swarm.create(SETTINGS)
    swarm.start("ada", "ben")
    swarm.together("ada", "ben")
    swarm.start("cleo")

    swarm.together("ada", "ben", "cleo")
    swarm.agree(*swarm.peers.values())
    sizes = {c.images for r in swarm.history() for c in r.contributions}
    assert max(sizes) <= 2 * 2 * 16, "two steps, and what is left of an epoch"
    swarm.end()
