"""A peer whom nobody can dial: it is told so, and the others train as if it were not there."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from p2pgan.lab.process import PeerProcess
from p2pgan.rendezvous import EmbeddedPostgres
from p2pgan.transport.checkup import free_ports
from tests.integration.run.swarm import Swarm

ELSEWHERE = "127.0.0.9"
"""An address at which nobody answers under the walled peer's port."""


@pytest.fixture
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    return made


def start_walled(swarm: Swarm) -> PeerProcess:
    port, _ = free_ports("127.0.0.1")
    (walled,) = swarm.start("walled", arguments=("--port", str(port), "--advertise", ELSEWHERE))
    return walled


def says(swarm: Swarm, peer: PeerProcess, words: str) -> None:
    swarm.until(lambda: words in peer.log.read_text(), f"{peer.name} says: {words}")


def test_it_learns_of_it_and_never_gets_the_pen_before_the_others(swarm: Swarm) -> None:
    swarm.start("ada", "ben")
    leader = swarm.together("ada", "ben")
    walled = start_walled(swarm)
    says(swarm, walled, f"nobody can dial this peer at tcp://{ELSEWHERE}:")
    says(swarm, walled, "(troubleshooting.md#firewall)")
    says(swarm, leader, "walled is heard, but cannot be dialled")
    events = [(event.kind, event.text) for event in swarm.database.events(swarm.run_id)]
    assert any(kind == "network" and "nobody can dial this peer" in text for kind, text in events)

    leader.expected_end = True
    leader.send(signal.SIGKILL)
    other = swarm.peers["ben" if leader.name == "ada" else "ada"]
    swarm.until(lambda: swarm.leader() is other, "the one who can be dialled leads")
    swarm.grow(2)
    assert swarm.leader() is other
    assert swarm.problems() == []


def test_where_it_came_first_it_lays_the_pen_down_for_those_who_come(swarm: Swarm) -> None:
    walled = start_walled(swarm)
    swarm.grow(1)
    assert swarm.leader() is walled
    swarm.start("ada", "ben")
    says(swarm, walled, "none can dial this peer: the pen goes to whoever of them takes it")
    assert swarm.together("ada", "ben") is not walled
    assert swarm.problems() == []
