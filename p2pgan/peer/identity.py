"""Which identity a process takes: one folder with key and journal, held by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from typing import TypeVar

from p2pgan.errors import ConfigError
from p2pgan.peer.options import PeerOptions
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.texts import SHORT_ID

MOST_PEERS = 64
"""Peers that may take a name of their own by themselves on one machine."""

Options = TypeVar("Options", bound=PeerOptions)


class StateFolder:
    """A locked state folder; the lock ends with the process."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError if another process holds the folder, or it cannot be written."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            why = "it is a file" if path.is_file() else error.strerror
            raise ConfigError(f"the folder {path} cannot be used: {why}; check --state-dir") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise ConfigError(
                f"another peer uses {path}: give this one its own --name or --state-dir"
            ) from error

    @property
    def instance(self) -> str:
        """The same for every process that uses this folder, and another in a copy of it elsewhere."""
        facts = os.fstat(self._lock)
        place = f"{gethostname()} {facts.st_dev} {facts.st_ino} {facts.st_ctime_ns}"
        return hashlib.blake2b(place.encode(), digest_size=16).hexdigest()

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._lock)


def take_identity(options: Options, named: bool) -> tuple[Options, StateFolder]:
    """The options and the folder of this peer.

    Without a name of its own (``named`` false) a second peer on the machine takes the next free one:
    ``host``, ``host-2``, ``host-3``.

    Raises:
        ConfigError: the identity is in use.
    """
    if named or options.state_dir is not None:
        return options, StateFolder(options.state_folder)
    for number in range(1, MOST_PEERS + 1):
        name = options.name if number == 1 else f"{options.name}-{number}"
        candidate = replace(options, name=name)
        try:
            return candidate, StateFolder(candidate.state_folder)
        except ConfigError:
            if number == MOST_PEERS:
                raise
    raise AssertionError("unreachable")


def unlike(others: Collection[str], name: str, me: PeerId) -> str:
    """``name``, with the first letters of the key if others in the run have it, as on cloned machines."""
    return f"{name} {me[:SHORT_ID]}" if name in others else name
