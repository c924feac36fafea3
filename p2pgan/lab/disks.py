"""Small disks of memory under the state folders of a lab's peers, so that they can be full or only read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from p2pgan.errors import ConfigError

SIZE = "64m"
"""Room for a journal and for the snapshots that wait in it."""
FILLER = ".filler"
BLOCK_BYTES = 64 * 1024


def check_disks() -> None:
    """Raises ConfigError if this is not Linux, or this user may not mount."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise ConfigError("a scenario that moves disks mounts small ones, which needs Linux and root")


class SmallDisks:
    """Mounts a disk for each folder it is asked for; as a context manager it takes them away again."""

    def __init__(self) -> None:
        self._mounted: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._mounted:
            _run("umount", "--lazy", str(folder))

    def mount(self, folder: Path) -> None:
        """Put a small disk at ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(folder))
        self._mounted.append(folder)

    def fill(self, folder: Path) -> None:
        """Leave no byte free."""
        with (folder / FILLER).open("wb", buffering=0) as filler:
            size = BLOCK_BYTES
            while size:
                try:
                    filler.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def empty(self, folder: Path) -> None:
        """Give the room back."""
        (folder / FILLER).unlink()

    def lock(self, folder: Path) -> None:
        """Let nobody write there. No process may have a file of it open to write."""
        _run("mount", "-o", "remount,ro", str(folder))

    def unlock(self, folder: Path) -> None:
        """As before."""
        _run("mount", "-o", "remount,rw", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigError(f"{command[0]} failed, so disks cannot be moved: {done.stderr.strip()}")
