from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.lab.faults import Injector
from p2pgan.lab.fleet import Fleet
from p2pgan.lab.process import PeerProcess
from p2pgan.lab.scenario import parse_scenario
from p2pgan.lab.surroundings import Surroundings
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
    return Injector(parse_scenario({"faults": list(faults)}).faults, Surroundings(fleet))


def _alive(fleet: Fleet) -> set[str]:
    return {peer.name for peer in fleet.peers.values() if peer.alive}


def test_the_leader_of_the_moment_is_killed(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "leader", "at_s": 10})
    assert injector.step(9, make_status(NAMES, "peer-2")) == []
    assert injector.step(10, make_status(NAMES, "peer-2", version=4, term=2)) == ["kill leader (peer-2)"]
    assert _alive(fleet) == {"peer-1", "peer-3"}
    (record,) = injector.records
    assert (record.at_s, record.version, record.term) == (10, 4, 2)
    assert injector.pending == ()


def test_a_fault_of_the_leader_waits_while_there_is_none(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "leader", "at_s": 10})
    assert injector.step(11, make_status(NAMES)) == []
    assert len(injector.pending) == 1
    assert len(injector.step(12, make_status(NAMES, "peer-1"))) == 1


def test_a_follower_is_not_the_leader(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "follower", "at_version": 2})
    injector.step(0, make_status(NAMES, "peer-1", version=2))
    assert _alive(fleet) == {"peer-1", "peer-3"}


def test_everyone_who_is_frozen_wakes_up(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(
        fleet,
        {"do": "stop", "target": "leader", "at_s": 1},
        {"do": "stop", "target": "peer-3", "at_s": 1},
        {"do": "continue", "at_s": 2},
    )
    injector.step(1, make_status(NAMES, "peer-1"))
    assert [fleet.peers[name].frozen for name in NAMES] == [True, False, True]
    assert injector.step(2, make_status(NAMES, "peer-2")) == ["continue (peer-1, peer-3)"]
    assert not any(peer.frozen for peer in fleet.peers.values())


def test_all_running_peers_restart_as_new_processes(fleet: Fleet, make_status: MakeStatus) -> None:
    fleet.peers["peer-3"].kill()
    before = [fleet.peers[name].process for name in NAMES]
    _injector(fleet, {"do": "restart-all", "at_s": 0}).step(0, make_status(NAMES))
    after = [fleet.peers[name].process for name in NAMES]
    assert _alive(fleet) == {"peer-1", "peer-2"}
    assert before[0] is not after[0]
    assert before[2] is after[2]


def test_who_is_poisoned_is_told_and_cured_in_time(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "poison", "target": "peer-3", "at_s": 10, "for_s": 20})
    told = fleet.peers["peer-3"].folder / "poison"
    assert injector.step(10, make_status(NAMES, "peer-1")) == ["poison peer-3"]
    assert told.exists()
    assert injector.step(30, make_status(NAMES, "peer-1")) == ["over: poison peer-3"]
    assert not told.exists()
    assert _alive(fleet) == set(NAMES)


def test_recovery_is_the_time_to_the_next_version(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "leader", "at_s": 10})
    injector.step(10, make_status(NAMES, "peer-1", version=4))
    (record,) = injector.records
    # The status before the fault was a little old: version 5 was there when it happened.
    injector.observe(10.5, make_status(NAMES, "peer-1", version=5, age=0.75))
    injector.observe(12, make_status(NAMES, "peer-1", version=5, age=2.25))
    assert record.recovered_s is None
    injector.observe(17.5, make_status(NAMES, "peer-2", version=6, age=0.5))
    assert record.recovered_s == 7.0


def test_the_run_has_recovered_when_everyone_takes_part_again(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(fleet, {"do": "kill", "target": "peer-3", "at_s": 10, "for_s": 3})
    injector.step(10, make_status(NAMES, "peer-1", version=4))
    injector.observe(12, make_status(NAMES[:2], "peer-1", version=6, age=0.0))
    assert not injector.recovered(make_status(NAMES[:2], "peer-1", version=7)), "it is not over"
    injector.step(13, make_status(NAMES[:2], "peer-1", version=7))
    assert not injector.recovered(make_status(NAMES[:2], "peer-1", version=7)), "peer-3 is not back"
    assert injector.recovered(make_status(NAMES, "peer-1", version=8))


def test_what_is_repeated_is_undone_first_and_waits_until_everyone_is_back(
    fleet: Fleet, make_status: MakeStatus
) -> None:
    kill = {"do": "kill", "target": "leader", "at_s": 10, "for_s": 3, "repeat": 2}
    injector = _injector(fleet, kill)
    injector.step(10, make_status(NAMES, "peer-1", version=4))
    assert injector.step(12, make_status(NAMES, "peer-2", version=4)) == []
    injector.observe(12.5, make_status(NAMES, "peer-2", version=5, age=0.0))
    assert injector.step(13, make_status(NAMES, "peer-2", version=5)) == ["over: kill leader (peer-1)"]
    assert _alive(fleet) == set(NAMES)
    assert injector.step(14, make_status(NAMES[1:], "peer-2", version=6)) == [], "peer-1 is not back"
    assert injector.step(15, make_status(NAMES, "peer-2", version=5)) == [], "no second version yet"

    assert injector.step(16, make_status(NAMES, "peer-2", version=6)) == ["kill leader (peer-2)"]
    assert len(injector.pending) == 1


def test_what_has_a_pace_does_not_wait(fleet: Fleet, make_status: MakeStatus) -> None:
    injector = _injector(
        fleet, {"do": "kill", "target": "random", "at_s": 0, "for_s": 1, "repeat": 3, "every_s": 5}
    )
    happened = [s for s in range(20) for text in injector.step(s, make_status(NAMES)) if "over" not in text]
    assert happened == [0, 5, 10]
    assert _alive(fleet) == set(NAMES)


def test_a_fault_with_a_point_happens_when_the_target_comes_to_it(
    fleet: Fleet, make_status: MakeStatus
) -> None:
    stop = {"do": "stop", "target": "leader", "at_s": 1, "point": "commit", "for_s": 2}
    injector = _injector(fleet, stop)
    leader = fleet.peers["peer-1"]
    assert injector.step(1, make_status(NAMES, "peer-1")) == []
    assert (leader.folder / "fail-at").read_text() == "commit:SIGSTOP"
    assert injector.step(2, make_status(NAMES, "peer-1")) == []
    assert injector.pending

    leader.send(signal.SIGSTOP)
    assert leader.process is not None
    os.waitid(os.P_PID, leader.process.pid, os.WSTOPPED | os.WNOWAIT)

    assert injector.step(3, make_status(NAMES, "peer-1")) == ["stop leader at commit (peer-1)"]
    assert injector.step(5, make_status(NAMES, "peer-2")) == ["over: stop leader at commit (peer-1)"]
    assert not (leader.folder / "fail-at").exists()
    assert not leader.died_or_frozen


def test_postgres_cannot_be_stopped_where_it_is_not_the_labs_own(
    fleet: Fleet, make_status: MakeStatus
) -> None:
    injector = _injector(fleet, {"do": "stop-postgres", "at_s": 0})
    with pytest.raises(ConfigError, match="embedded"):
        injector.step(0, make_status(NAMES))
