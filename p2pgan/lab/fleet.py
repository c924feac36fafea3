"""The peers of a lab as operating system processes: started, frozen, killed, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from p2pgan import failpoints
from p2pgan.errors import ConfigError
from p2pgan.failpoints import Moment
from p2pgan.lab.disks import SmallDisks
from p2pgan.lab.network import LabNetwork

LEFT = "left"
LEFT_EARLY = "left while it started"
INTERRUPTED = (130, -signal.SIGINT)
"""Exit codes of a process that Ctrl-C reached before it could leave in its own way."""
LEAVE_SECONDS = 30.0
"""A peer that leaves may finish its round and commit; then it is killed."""


@dataclass
class PeerProcess:
    """One peer: its command, its folder, and its process while it runs."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    frozen: bool = field(default=False, init=False)
    started_s: float = field(default=0.0, init=False)
    """When it started last, by the monotonic clock."""
    expected_end: bool = field(default=False, init=False)
    """Whether the lab itself ended it, so that its end is no failure."""

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def journal(self) -> Path:
        return self.state_dir / "journal.sqlite"

    @property
    def _fail_file(self) -> Path:
        return self.folder / "fail-at"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def died_unasked(self) -> bool:
        return self.process is not None and not self.alive and not self.expected_end

    @property
    def end(self) -> str:
        """How it ended, in words."""
        code = None if self.process is None else self.process.poll()
        if code is None:
            return "runs"
        if code == -signal.SIGKILL:
            return "killed"
        if code in INTERRUPTED and self.expected_end:
            return LEFT_EARLY
        return LEFT if code == 0 else self.last_words()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._fail_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C at the lab's terminal reaches the lab, which decides.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environment, failpoints.VARIABLE: str(self._fail_file)},
                start_new_session=True,
            )
        self.frozen = self.expected_end = False
        self.started_s = time.monotonic()

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.alive:
            self.process.send_signal(number)

    def arm(self, point: Moment, number: signal.Signals) -> None:
        """Have it send itself a signal when it next comes to ``point``."""
        self.expected_end = number is signal.SIGKILL
        draft = self.folder / "fail-at.draft"
        draft.write_text(f"{point}:{number.name}")
        draft.rename(self._fail_file)

    @property
    def died_or_frozen(self) -> bool:
        """Whether it has died, or is stopped by a signal."""
        if self.process is None or not self.alive:
            return True
        if psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED:
            return False
        self.frozen = True
        return True

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)
        self.frozen = True

    def wake(self) -> None:
        self._fail_file.unlink(missing_ok=True)
        self.send(signal.SIGCONT)
        self.frozen = False

    def kill(self) -> None:
        self.expected_end = True
        self.send(signal.SIGKILL)
        self.wait(None)

    def ask_to_leave(self) -> None:
        self.expected_end = True
        self.wake()
        self.send(signal.SIGINT)

    def wait(self, seconds: float | None) -> bool:
        """Waits for the process to end; False if it has not."""
        if self.process is None:
            return True
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self) -> str:
        """The last line of its log: the reason of an unasked end."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


class Fleet:
    """All peers of a lab. As a context manager it leaves no process behind, whatever happens."""

    def __init__(
        self,
        folder: Path,
        dsn: str,
        run: str,
        arguments: Sequence[str],
        *,
        network: LabNetwork | None = None,
        disks: SmallDisks | None = None,
        clocks: Mapping[str, float] | None = None,
    ) -> None:
        self.peers: dict[str, PeerProcess] = {}
        # The DSN holds a password: the environment is not shown in process lists, arguments are.
        self.environment = {**os.environ, "P2PGAN_RENDEZVOUS": dsn, "PYTHONUNBUFFERED": "1"}
        self._folder = folder
        self._run = run
        self._arguments = tuple(arguments)
        self._network = network
        self._disks = disks
        self._clocks = clocks or {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for peer in self.peers.values():
            peer.kill()

    def lead(self, name: str, arguments: Sequence[str]) -> PeerProcess:
        """Starts a peer that creates the run; ``arguments`` describe the run."""
        return self._start(name, ["lead", *arguments])

    def join(self, name: str) -> PeerProcess:
        """Starts a peer that joins, or one that ended again.

        Raises:
            ConfigError: a peer of this name is running.
        """
        return self._start(name, ["join"])

    def process_ids(self) -> dict[str, int]:
        """Those of the peers that were started, by name."""
        return {name: peer.process.pid for name, peer in self.peers.items() if peer.process is not None}

    def restart_all(self) -> None:
        """Kills every peer at once, then starts those again that were running."""
        running = [peer for peer in self.peers.values() if peer.alive]
        for peer in running:
            peer.expected_end = True
            peer.send(signal.SIGKILL)
        for peer in running:
            peer.wait(None)
        for peer in running:
            peer.start()

    def leave(self, peers: Iterable[PeerProcess]) -> list[PeerProcess]:
        """Asks ``peers`` to leave and waits; returns those that had to be killed."""
        leaving = [peer for peer in peers if peer.alive]
        for peer in leaving:
            peer.ask_to_leave()
        deadline = time.monotonic() + LEAVE_SECONDS
        stuck = [peer for peer in leaving if not peer.wait(max(0.0, deadline - time.monotonic()))]
        for peer in stuck:
            peer.kill()
        return stuck

    def _start(self, name: str, command: Sequence[str]) -> PeerProcess:
        known = self.peers.get(name)
        if known is not None:
            if known.alive:
                raise ConfigError(f"the scenario starts {name}, which is running already")
            known.start()
            return known
        peer = PeerProcess(
            name=name,
            folder=self._folder / name,
            command=[
                *(*self._launcher(name), sys.executable, "-m", "p2pgan", *command),
                *("--run", self._run, "--name", name, *self._addresses(name)),
                *("--state-dir", str(self._folder / name / "state"), *self._arguments),
            ],
            environment=self.environment | self._way_to_database,
        )
        if self._disks is not None:
            self._disks.mount(peer.state_dir)
        self.peers[name] = peer
        peer.start()
        return peer

    @property
    def _way_to_database(self) -> dict[str, str]:
        return {} if self._network is None else {"P2PGAN_RENDEZVOUS": self._network.dsn}

    def _addresses(self, name: str) -> tuple[str, ...]:
        # All peers are on this machine, so loopback is enough.
        if self._network is None:
            return ("--bind", "127.0.0.1", "--advertise", "127.0.0.1")
        return self._network.arguments(name)

    def _launcher(self, name: str) -> tuple[str, ...]:
        """What starts a peer whose wall clock is to be wrong; its monotonic clock stays right."""
        ahead = self._clocks.get(name)
        if ahead is None:
            return ()
        if shutil.which("faketime") is None:
            raise ConfigError("a scenario with wrong clocks needs the program faketime; install it")
        return ("faketime", "--exclude-monotonic", "-f", f"{ahead:+.0f}s")
