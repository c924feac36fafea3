"""The peers of a lab: started with what each needs, and never left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from p2pgan.errors import ConfigError
from p2pgan.lab.clocks import wrong_clock
from p2pgan.lab.disks import SmallDisks
from p2pgan.lab.network import LabNetwork
from p2pgan.lab.process import PeerProcess

LEAVE_SECONDS = 120.0
"""A peer that leaves may finish its round and commit; then it is killed."""


_PREFIX = "P2PGAN_"
_FOR_ALL = {"P2PGAN_CACHE", "P2PGAN_DATA_ROOT", "P2PGAN_PG_BIN"}
"""Variables that are about the machine and good for several peers on it."""


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
        self.environment = {**_inherited(), "P2PGAN_RENDEZVOUS": dsn, "PYTHONUNBUFFERED": "1"}
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
            peer.send(signal.SIGKILL)
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
                *(sys.executable, "-m", "p2pgan", *command, "--run", self._run, "--name", name),
                *self._addresses(name),
                *("--state-dir", str(self._folder / name / "state"), *self._arguments),
            ],
            environment=self.environment | self._way_to_database | self._clock(name),
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

    def _clock(self, name: str) -> dict[str, str]:
        ahead = self._clocks.get(name)
        return {} if ahead is None else wrong_clock(ahead)


def _inherited() -> dict[str, str]:
    """Our environment without what stands for flags: the lab gives its peers those that they need."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_PREFIX) or k in _FOR_ALL}
