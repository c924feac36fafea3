from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.lab.fleet import Fleet
from p2pgan.lab.process import LEFT_EARLY, NOT_YET_WORDS, PeerProcess
from p2pgan.peer import start
from p2pgan.peer.log import Log
from p2pgan.peer.meeting import Meeting
from p2pgan.peer.options import JoinOptions

# Says that it is up by opening the pipe, then lives until it is told to end.
OBEDIENT = """
import signal, sys
def leave(*_):
    print("leaving")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
open(sys.argv[1], "w").close()
signal.pause()
"""
FAILING = "import sys; open(sys.argv[1], 'w').close(); sys.exit('p2pgan: the reason\\n')"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "up"
    os.mkfifo(path)
    return path


def _peer(tmp_path: Path, pipe: Path, code: str, name: str = "peer-1") -> PeerProcess:
    return PeerProcess(name, [sys.executable, "-c", code, str(pipe)], tmp_path / name, os.environ)


def _start(peer: PeerProcess, pipe: Path) -> None:
    peer.start()
    pipe.read_text()  # returns when the process has opened and closed its end


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, "postgresql://db/gan", "lab", [])


def test_a_peer_that_is_asked_to_leave_ends_in_its_own_way(tmp_path: Path, pipe: Path, fleet: Fleet) -> None:
    peer = _peer(tmp_path, pipe, OBEDIENT)
    _start(peer, pipe)
    assert peer.alive
    assert fleet.leave([peer]) == []
    assert not peer.alive
    assert not peer.died_unasked
    assert peer.last_words() == "leaving"


def test_a_frozen_peer_wakes_to_leave(tmp_path: Path, pipe: Path, fleet: Fleet) -> None:
    peer = _peer(tmp_path, pipe, OBEDIENT)
    _start(peer, pipe)
    peer.freeze()
    assert peer.process is not None
    _, state = os.waitpid(peer.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(state)
    assert fleet.leave([peer]) == []
    assert peer.process.returncode == 0


def test_a_peer_that_ends_by_itself_has_died_unasked(tmp_path: Path, pipe: Path) -> None:
    peer = _peer(tmp_path, pipe, FAILING)
    _start(peer, pipe)
    assert peer.wait(30)
    assert peer.died_unasked
    assert peer.last_words() == "p2pgan: the reason"


def test_a_peer_takes_part_once_it_applied_a_version_since_it_started(tmp_path: Path, pipe: Path) -> None:
    peer = _peer(tmp_path, pipe, OBEDIENT)
    peer.folder.mkdir()
    peer.log.write_text("20:37:31 version   version 7: 448 images of 1 peer in 2.8 s, 3141 in all\n")
    _start(peer, pipe)
    assert not peer.takes_part()
    with peer.log.open("a") as log:
        log.write("20:37:33 commit    version 8 is in the database\n")
    assert not peer.takes_part()
    with peer.log.open("a") as log:
        log.write("20:37:34 version   version 9: 448 images of 1 peer in 2.8 s, 3141 in all\n")
    assert peer.takes_part()
    peer.kill()
    _start(peer, pipe)
    assert not peer.takes_part()
    peer.kill()


@pytest.mark.parametrize(
    ("code", "end"), [("sys.exit(130)", LEFT_EARLY), (f"sys.exit(print('{NOT_YET_WORDS}'))", LEFT_EARLY)]
)
def test_a_peer_that_left_while_it_started_is_known(
    tmp_path: Path, pipe: Path, fleet: Fleet, code: str, end: str
) -> None:
    peer = _peer(tmp_path, pipe, OBEDIENT.replace('print("leaving")', code))
    _start(peer, pipe)
    assert fleet.leave([peer]) == []
    assert peer.end == end


def test_a_peer_that_is_asked_to_leave_before_it_took_part_says_so() -> None:
    """The lab knows such an end by its words, which it cannot import."""
    said = io.StringIO()

    def interrupted(log: Log) -> AbstractContextManager[Meeting]:
        raise KeyboardInterrupt

    with redirect_stdout(said):
        start._run(interrupted, JoinOptions(rendezvous="embedded:x"), trains=True)
    assert said.getvalue().splitlines()[-1].endswith(NOT_YET_WORDS)


def test_a_killed_peer_starts_again(tmp_path: Path, pipe: Path) -> None:
    peer = _peer(tmp_path, pipe, OBEDIENT)
    _start(peer, pipe)
    peer.kill()
    assert not peer.died_unasked
    assert peer.process is not None
    assert peer.process.returncode == -signal.SIGKILL
    _start(peer, pipe)
    assert peer.alive
    peer.kill()


def test_no_process_is_left_when_the_lab_fails(tmp_path: Path, pipe: Path, fleet: Fleet) -> None:
    fleet.peers["peer-1"] = peer = _peer(tmp_path, pipe, OBEDIENT)
    with pytest.raises(KeyboardInterrupt), fleet:
        _start(peer, pipe)
        raise KeyboardInterrupt
    assert not peer.alive


def test_a_name_that_is_running_cannot_join(tmp_path: Path, pipe: Path, fleet: Fleet) -> None:
    fleet.peers["peer-1"] = peer = _peer(tmp_path, pipe, OBEDIENT)
    with fleet:
        _start(peer, pipe)
        with pytest.raises(ConfigError, match="peer-1, which is running already"):
            fleet.join("peer-1")


def test_the_password_is_not_in_the_command(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "postgresql://ada:secret@db/gan", "lab", ["--threads", "1"])
    assert fleet.environment["P2PGAN_RENDEZVOUS"] == "postgresql://ada:secret@db/gan"
    with fleet:
        peer = fleet.join("peer-1")
    assert not any("secret" in part for part in peer.command)
    assert peer.command[-2:] == ["--threads", "1"]


def test_an_interrupt_waits_until_the_new_process_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the start of a process and the note of its id nobody else knows that it is there."""
    popen = subprocess.Popen

    def interrupted(*arguments: object, **named: object) -> subprocess.Popen[bytes]:
        process = popen(*arguments, **named)
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    peer = PeerProcess("peer-1", [sys.executable, "-c", "input()"], tmp_path / "peer-1", os.environ)

    with pytest.raises(KeyboardInterrupt):
        peer.start()

    assert peer.process is not None
    peer.kill()
