"""The peers of a test as processes: started, killed or frozen at a chosen moment, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from p2pgan.lab.process import PeerProcess

DEADLINE_S = 120.0
"""For anything that should take seconds: long enough for a machine with other things to do."""
LOOK_EVERY_S = 0.1

Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], what: str, seconds: float = DEADLINE_S) -> Seen:
    """The first true answer of ``look``, asked again and again."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(LOOK_EVERY_S)
    return seen


def environment(dsn: str) -> dict[str, str]:
    """The environment of a command that works at ``dsn``, on one thread."""
    return {**os.environ, "P2PGAN_RENDEZVOUS": dsn, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}


def start_command(dsn: str, *arguments: str) -> subprocess.Popen[str]:
    """A ``p2pgan`` command that begins to run."""
    return subprocess.Popen(
        [sys.executable, "-m", "p2pgan", *arguments],
        env=environment(dsn),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Peers:
    """The processes of one run, by name."""

    def __init__(self, folder: Path, dsn: str, run: str) -> None:
        self.folder, self.dsn, self.run = folder, dsn, run
        self.peers: dict[str, PeerProcess] = {}

    def start(
        self,
        *names: str,
        command: str = "join",
        arguments: Sequence[str] = (),
        launcher: Sequence[str] = (),
        dsn: str | None = None,
        program: Sequence[str] = ("p2pgan",),
    ) -> list[PeerProcess]:
        """Start peers, with a login of their own if ``dsn`` says so, or start those again that have ended.

        ``program``: another module to run in p2pgan's place, and what it wants to be told first.
        """
        for name in names:
            known = self.peers.get(name)
            if known is None:
                start = [*launcher, sys.executable, "-m", *program, command]
                known = self.peers[name] = self._new(name, start, arguments, dsn or self.dsn)
            assert not known.alive, f"{name} runs already"
            known.start()
        return [self.peers[name] for name in names]

    def _new(self, name: str, command: Sequence[str], arguments: Sequence[str], dsn: str) -> PeerProcess:
        folder = self.folder / name
        return PeerProcess(
            name=name,
            folder=folder,
            command=[
                *(*command, "--run", self.run, "--name", name),
                *("--state-dir", str(folder / "state"), "--threads", "1"),
                *("--bind", "127.0.0.1", "--advertise", "127.0.0.1", *arguments),
            ],
            environment=environment(dsn),
        )

    def froze(self, peer: PeerProcess) -> None:
        """Wait until an armed peer is frozen; once it wakes up, it goes on where it was."""
        self.until(lambda: peer.died_or_frozen, f"{peer.name} freezes")
        assert peer.alive, f"{peer.name}: {peer.last_words()}"

    def died(self, peer: PeerProcess) -> float:
        """Wait for the death of an armed peer; the time, which this machine's Postgres shares."""
        assert peer.process is not None
        assert peer.wait(DEADLINE_S), f"{peer.name} did not come to the moment of its death"
        at = time.time()
        assert peer.process.returncode == -signal.SIGKILL, f"{peer.name}: {peer.last_words()}"
        return at

    def kill_all(self) -> None:
        """Kill every peer, as a power failure would: all at the same time."""
        for peer in self.peers.values():
            peer.expected_end = True
            peer.send(signal.SIGKILL)
        for peer in self.peers.values():
            peer.wait(None)

    def leave(self, *peers: PeerProcess) -> None:
        """Ctrl-C for ``peers``, all at the same time; each must end in order."""
        for peer in peers:
            peer.ask_to_leave()
        for peer in peers:
            assert peer.wait(DEADLINE_S), f"{peer.name} does not leave: {peer.last_words()}"
            assert peer.process is not None
            assert peer.process.returncode == 0, f"{peer.name}: {peer.last_words()}"

    def until(self, look: Callable[[], Seen], what: str, seconds: float = DEADLINE_S) -> Seen:
        """The first true answer of ``look``; at once an error if a peer ends that nobody ended."""

        def looked() -> Seen:
            for peer in self.peers.values():
                assert not peer.died_unasked, f"{peer.name} ended: {peer.last_words()}"
            return look()

        try:
            return until(looked, what, seconds)
        except AssertionError as error:
            for name, peer in self.peers.items():
                lines = peer.log.read_text(errors="replace").splitlines() if peer.log.exists() else []
                error.add_note("\n".join([f"--- {name}, {peer.end}", *lines[-40:]]))
            raise
