"""Signals and lost terminals: a peer leaves in order at whatever moment, and trains without a log."""

from __future__ import annotations

import os
import pty
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from p2pgan.journal import Journal
from p2pgan.lab.process import PeerProcess
from p2pgan.peer.departure import INTERRUPTED
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import DEADLINE_S
from tests.integration.run.swarm import Swarm
from tests.terminals import Terminal

EARLY = "left before it took part"


def redirected(how: str) -> Sequence[str]:
    """A launcher whose peer has its standard streams as the shell's ``how`` says."""
    return ["sh", "-c", f'exec "$@" {how}', "sh"]


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    made.start("ada")
    made.grow(1)
    made.start("hasty")
    return made


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        yield server


def says(swarm: Swarm, peer: PeerProcess, text: str) -> None:
    swarm.until(lambda: text in lines(peer), f"{peer.name} says {text!r}")


def lines(peer: PeerProcess) -> str:
    return peer.log.read_text(errors="replace") if peer.log.exists() else ""


def ends(peer: PeerProcess, code: int = 0) -> list[str]:
    """Wait for the end; the lines it said."""
    peer.expected_end = True
    assert peer.wait(DEADLINE_S), f"{peer.name} does not end: {peer.last_words()}"
    assert peer.process is not None
    assert peer.process.returncode == code, lines(peer)
    assert "Traceback" not in lines(peer)
    return lines(peer).splitlines()


def kind_of(line: str) -> str:
    """The word after the time."""
    return line.split()[1]


def state(swarm: Swarm, name: str) -> str:
    return next(p["state"] for p in swarm.status()["peers"] if p["name"] == name)


def ask(peer: PeerProcess, number: signal.Signals) -> None:
    peer.expected_end = True
    peer.send(number)


def applied(swarm: Swarm, peer: PeerProcess) -> int:
    """The newest version in the peer's journal."""
    if not peer.journal.exists():
        return 0
    return max(swarm.applied(peer), default=0)


def test_before_it_took_part(swarm: Swarm, silent_server: socket.socket) -> None:
    """While torch is imported; while it connects; while it registers; when it listens."""
    nowhere = make_conninfo(swarm.dsn, port=str(silent_server.getsockname()[1]))
    importing, listening = swarm.start("importing", "listening")
    (connecting,) = swarm.start("connecting", dsn=nowhere)
    says(swarm, importing, "starting: ")
    ask(importing, signal.SIGINT)
    with silent_server.accept()[0]:
        ask(connecting, signal.SIGTERM)
        says(swarm, listening, "listens on ")
        ask(listening, signal.SIGINT)
        for peer in (importing, connecting):
            said = ends(peer)
            # The line about memory comes where glibc is.
            assert [kind for kind in map(kind_of, said) if kind != "memory"] == ["start", "leaving"]
            assert said[-1].endswith(EARLY)
    assert "left" in ends(listening)[-1]
    assert state(swarm, "listening") == "left"


def test_while_it_registers(swarm: Swarm) -> None:
    swarm.together("ada", "hasty")  # nobody else is about to register
    with psycopg.connect(swarm.dsn) as connection, psycopg.connect(swarm.dsn, autocommit=True) as watching:
        connection.execute("lock table p2pgan.peers in share mode")
        (peer,) = swarm.start("registering")

        def waits() -> bool:
            row = watching.execute(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                " and query like '%register_peer%'"
            ).fetchone()
            return row is not None and row[0] > 0

        swarm.until(waits, "the registration waits")
        ask(peer, signal.SIGINT)
        # What it says to the database next waits for the same lock.
        connection.rollback()
    assert ends(peer)[-1].endswith(EARLY)


def test_whoever_reads_the_log_goes_away(swarm: Swarm, tmp_path: Path) -> None:
    """``p2pgan join | head -n 1``, and a log that was closed from the start."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    (piped,) = swarm.start("piped", launcher=redirected(f">{fifo} 2>&1"))
    (mute,) = swarm.start("mute", launcher=redirected(">&- 2>&-"))
    with fifo.open() as reader:
        assert "starting" in reader.readline()
    swarm.together("ada", "piped", "mute")
    for peer in (piped, mute):
        ask(peer, signal.SIGINT)
    for peer in (piped, mute):
        assert ends(peer) == []
        assert state(swarm, peer.name) == "left"
        with Journal(peer.journal) as journal:
            assert "asked to leave" in {event.text for event in journal.events(swarm.run)}


def test_the_terminal_closes(swarm: Swarm) -> None:
    """The kernel sends SIGHUP, and what is written from then on fails."""
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    # The first terminal that a new session opens becomes its own.
    (peer,) = swarm.start("hung-up", launcher=redirected(f"<{name} >{name} 2>&1"))
    shown = b""
    while b"listens on" not in shown:
        shown += os.read(ours, 4096)
    # Not before the peer has it open: a terminal that nobody has open cannot be read.
    os.close(theirs)
    first = swarm.committed
    swarm.until(lambda: applied(swarm, peer) > first, "it takes part")
    os.close(ours)
    assert ends(peer) == []
    assert state(swarm, "hung-up") == "left"


def test_on_a_terminal_it_draws_and_leaves_it_whole(swarm: Swarm) -> None:
    """A peer shows how things stand; Ctrl-C, typed there, takes that away and leaves the lines."""
    with Terminal() as terminal:
        name = terminal.name
        (peer,) = swarm.start("drawn", launcher=redirected(f"<{name} >{name} 2>&1"))
        terminal.until("peers here, the pen: ada", DEADLINE_S)
        terminal.until(", last commit ", DEADLINE_S)
        terminal.until(" images/s", DEADLINE_S)
        peer.expected_end = True
        terminal.type("\x03")
        terminal.until("\x1b[0m left\r\n", DEADLINE_S)
        assert ends(peer) == []
        assert terminal.is_whole
    assert state(swarm, "drawn") == "left"


def test_who_insists_need_not_wait(swarm: Swarm) -> None:
    """A second Ctrl-C ends the process at once; the others notice by its silence."""
    peer = swarm.peers["hasty"]
    swarm.together("ada", "hasty")
    # Both signals wait for it when it wakes up.
    ask(peer, signal.SIGSTOP)
    ask(peer, signal.SIGINT)
    ask(peer, signal.SIGTERM)
    ask(peer, signal.SIGCONT)
    assert "p2pgan: ended at once" in ends(peer, INTERRUPTED)[-1]
    swarm.grow(2)
    swarm.end()
