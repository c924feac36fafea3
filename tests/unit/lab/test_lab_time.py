"""When a lab's time begins and what its lines say meanwhile, with peers and a database that only answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from p2pgan.errors import P2pganError
from p2pgan.lab import lab as lab_module
from p2pgan.lab.choose import choose_scenario
from p2pgan.lab.lab import Lab, LabOptions
from p2pgan.lab.view import View
from p2pgan.rendezvous import StatusSnapshot

MakeStatus = Callable[..., StatusSnapshot]


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Peer:
    """A peer that takes part from ``at`` on."""

    alive, frozen, died_unasked = True, False, False

    def __init__(self, name: str, clock: Clock, at: float) -> None:
        self.name, self._clock, self._at = name, clock, clock.now + at
        self.started_s, self.took_part_s = clock.now, None if at > 0 else clock.now

    def takes_part(self) -> bool:
        if self.took_part_s is None and self._clock.now >= self._at:
            self.took_part_s = self._clock.now
        return self.took_part_s is not None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lab_module, "time", clock)
    return clock


@pytest.fixture
def said() -> StringIO:
    return StringIO()


def _lab(clock: Clock, make_status: MakeStatus, said: StringIO, out: Path, arrivals: dict[str, float]) -> Lab:
    peers = {name: Peer(name, clock, at) for name, at in arrivals.items()}
    scenario = choose_scenario(None, len(arrivals), minutes=0.5)
    options = LabOptions(
        scenario=scenario, out=out, rendezvous=None, run="lab", dataset="digits", requested={}, command=""
    )
    seen: list[float] = []
    injector = SimpleNamespace(
        recovered=lambda _: False,
        step=lambda at, _: seen.append(at) or [],
        observe=lambda *_: None,
        seen=seen,
    )
    status = make_status(list(arrivals), leader="peer-1", version=3)
    database = SimpleNamespace(status=lambda _: dict(status))
    view = View(Console(file=said, width=400))
    lab = Lab(options, SimpleNamespace(peers=peers), database, injector, view)  # type: ignore[arg-type]  # they only answer
    lab._created = lab._progressed = clock.now
    return lab


def test_the_time_of_a_lab_and_of_its_faults_begins_when_all_first_peers_take_part(
    clock: Clock, make_status: MakeStatus, said: StringIO, tmp_path: Path
) -> None:
    lab = _lab(clock, make_status, said, tmp_path, {"peer-1": 2, "peer-2": 20})
    lab.gather(lambda: False)
    assert clock.now == pytest.approx(1020, abs=1)
    lab.watch(lambda: False)
    assert lab.injector.seen[0] == 0  # type: ignore[attr-defined]
    assert clock.now == pytest.approx(1050, abs=1)
    lines = said.getvalue().splitlines()
    assert lines[0].endswith("waiting for peer-1, peer-2 to take part")
    assert "  0:02  peer-1 takes part" in lines
    assert any(line.endswith("; waiting for peer-2 to take part") for line in lines)
    begins = lines.index("  0:00  all peers of the start take part: the lab's time begins")
    assert lines[begins - 1] == "  0:20  peer-2 takes part"
    assert not any("waiting" in line for line in lines[begins:])


def test_after_its_time_a_lab_says_for_whom_it_waits(
    clock: Clock, make_status: MakeStatus, said: StringIO, tmp_path: Path
) -> None:
    lab = _lab(clock, make_status, said, tmp_path, {"peer-1": 0, "peer-2": 0})
    lab.gather(lambda: False)
    lab.fleet.peers["peer-5"] = Peer("peer-5", clock, 45)  # type: ignore[assignment]
    lab.watch(lambda: False)
    lines = said.getvalue().splitlines()
    assert any(" 100%  " in line and line.endswith("waiting for peer-5 to take part") for line in lines)
    assert lines[-1].startswith("  0:45  ") or lines[-1].endswith("peer-5 takes part")


def test_an_interrupt_while_the_peers_start_ends_the_lab(
    clock: Clock, make_status: MakeStatus, said: StringIO, tmp_path: Path
) -> None:
    lab = _lab(clock, make_status, said, tmp_path, {"peer-1": 5, "peer-2": 500})
    lab.gather(lambda: clock.now > 1010)
    lab.watch(lambda: False)
    assert lab.interrupted
    assert clock.now == pytest.approx(1010, abs=1)


def test_a_disk_that_is_nearly_full_ends_the_lab(
    clock: Clock, make_status: MakeStatus, said: StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = _lab(clock, make_status, said, tmp_path, {"peer-1": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(P2pganError, match="is full: free space, or choose another --out"):
        lab.watch(lambda: False)
