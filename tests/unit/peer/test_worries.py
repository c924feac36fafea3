from __future__ import annotations

import pytest

from p2pgan.peer.worries import IDLE_S, UNHEARD_S, Worries
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.core import PeerView
from p2pgan.protocol.events import PeerInfo
from p2pgan.protocol.machine import Machine

CONFIG = ProtocolConfig(images=100, unit_images=10, microbatch=1, vector_size=10, schema_hash="s")


@pytest.fixture
def machine() -> Machine:
    return Machine(CONFIG, "ada", "gan")


def test_nobody_heard_is_said_once_each_time(machine: Machine) -> None:
    said: list[str] = []
    worries = Worries(machine, lambda _, text: said.append(text))
    machine.core.peers["ben"] = PeerView(PeerInfo("ben", True, False, "ben"))
    for now in (0.0, UNHEARD_S - 0.1):
        worries.look(now)
    assert said == []
    for now in (UNHEARD_S, UNHEARD_S + 1):
        worries.look(now)
    assert len(said) == 1
    assert "1 other peer should be here" in said[0]
    assert said[0].endswith("(troubleshooting.md#firewall)")
    machine.core.peers["ben"] = PeerView(PeerInfo("ben", True, True, "ben"))
    worries.look(UNHEARD_S + 2)
    machine.core.peers["ben"] = PeerView(PeerInfo("ben", True, False, "ben"))
    worries.look(100.0)
    worries.look(100.0 + UNHEARD_S)
    assert len(said) == 2


def test_a_peer_without_work_says_so(machine: Machine) -> None:
    said: list[str] = []
    worries = Worries(machine, lambda _, text: said.append(text))
    worries.look(0.0)
    worries.look(2 * IDLE_S)
    assert said == []  # it has no weights yet, which the log says in other words
    machine.core.digest = "d"
    worries.look(200.0)
    worries.look(200.0 + IDLE_S)
    assert len(said) == 1
    assert said[0].endswith("(troubleshooting.md#no-open-work)")


def test_a_peer_that_trains_nothing_does_not_wait_for_work() -> None:
    said: list[str] = []
    machine = Machine(CONFIG, "ada", "gan", trains=False)
    machine.core.digest = "d"
    worries = Worries(machine, lambda _, text: said.append(text))
    worries.look(0.0)
    worries.look(2 * IDLE_S)
    assert said == []
