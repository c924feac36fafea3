from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.lab.faults import Injector
from p2pgan.lab.fleet import Fleet, PeerProcess
from p2pgan.lab.scenario import parse_scenario
from p2pgan.rendezvous import StatusSnapshot

NAMES = ("peer-1", "peer-2", "peer-3")
MakeStatus = Callable[..., StatusSnapshot]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Three processes that do nothing."""
    with Fleet(tmp_path, "postgresql://db/gan", "lab", []) as fleet:
        for name in NAMES:
            command = [sys.executable, "-c", "import signal; signal.pause()"]
            fleet.peers[name] = PeerProcess(name, command, tmp_path / name, os.environ)
            fleet.peers[name].start()
        yield fleet


def _injector(fleet: Fleet, *faults: dict[str, object]) -> Injector:
    return Injector(parse_scenario({"faults": list(faults)}).faults, fleet, None)


def _alive(fleet: Fleet) -> set[str]:
    return {peer.name for peer in fleet.peers.values() if peer.alive}


def test_the_leader_of_the_moment_is_killed(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "leader", "at_s": 10})
    assert injector.inject_due(9, make_status(NAMES, "peer-2")) == []
    (record,) = injector.inject_due(10, make_status(NAMES, "peer-2", version=4, term=2))
    assert _alive(fleet) == {"peer-1", "peer-3"}
    assert (record.what, record.version) == ("kill leader (peer-2)", None)
    assert injector.pending == ()


def test_a_fault_of_the_leader_waits_while_there_is_none(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "leader", "at_s": 10})
    assert injector.inject_due(11, make_status(NAMES)) == []
    assert len(injector.pending) == 1
    assert len(injector.inject_due(12, make_status(NAMES, "peer-1"))) == 1


def test_a_follower_is_not_the_leader(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "follower", "at_version": 2})
    injector.inject_due(0, make_status(NAMES, "peer-1", version=2))
    assert _alive(fleet) == {"peer-1", "peer-3"}


def test_everyone_who_is_frozen_wakes_up(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(
        fleet,
        {"do": "stop", "target": "leader", "at_s": 1},
        {"do": "stop", "target": "peer-3", "at_s": 1},
        {"do": "continue", "at_s": 2},
    )
    injector.inject_due(1, make_status(NAMES, "peer-1"))
    assert [fleet.peers[name].frozen for name in NAMES] == [True, False, True]
    (record,) = injector.inject_due(2, make_status(NAMES, "peer-2"))
    assert record.what == "continue stopped (peer-1, peer-3)"
    assert not any(peer.frozen for peer in fleet.peers.values())


def test_all_running_peers_restart_as_new_processes(fleet: Fleet, make_status: MakeStatus) -> None:
    fleet.peers["peer-3"].kill()
    before = [fleet.peers[name].process for name in NAMES]
    _injector(fleet, {"do": "restart-all", "at_s": 0}).inject_due(0, make_status(NAMES))
    after = [fleet.peers[name].process for name in NAMES]
    assert _alive(fleet) == {"peer-1", "peer-2"}
    assert before[0] is not after[0]
    assert before[2] is after[2]


def test_recovery_is_the_time_to_the_next_version(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "leader", "at_s": 10})
    (record,) = injector.inject_due(10, make_status(NAMES, "peer-1", version=4))
    # The status before the fault was a little old: version 5 was there when it happened.
    injector.observe(10.5, make_status(NAMES, "peer-1", version=5))
    injector.observe(12, make_status(NAMES, "peer-1", version=5))
    assert (record.version, record.recovered_s) == (5, None)
    injector.observe(17.5, make_status(NAMES, "peer-2", version=6))
    injector.observe(30, make_status(NAMES, "peer-2", version=9))
    assert record.recovered_s == 7.5


def test_postgres_cannot_be_stopped_where_it_is_not_the_labs_own(
    fleet: Fleet, make_status: MakeStatus
) -> None:
    injector = _injector(fleet, {"do": "stop-postgres", "at_s": 0})
    with pytest.raises(ConfigError, match="embedded"):
        injector.inject_due(0, make_status(NAMES))
