"""``sync: gossip`` among processes: peers mix between rounds, and the history is that of ``deltas``."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm

SETTINGS = {"sync": {"mode": "gossip", "round_seconds": 2.0, "mix_seconds": 0.3}}


def test_peers_mix_between_rounds_and_agree_on_every_version(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]
) -> None:
    swarm = swarms(postgres)
    swarm.create(SETTINGS)
    swarm.start("ada", "ben", "cleo")

    swarm.together("ada", "ben", "cleo")
    for name, peer in swarm.peers.items():
        swarm.until(lambda peer=peer: "mixing" in peer.log.read_text(), f"{name} mixes")

    swarm.agree(*swarm.peers.values())
    swarm.end()
