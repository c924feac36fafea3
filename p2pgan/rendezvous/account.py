"""The operating system's account that an embedded Postgres runs under.

Postgres refuses to run as root. Where we are root (containers, notebooks in a cloud) the server runs
under an account without rights; of our files it owns the cluster folder and no other, and the
permissions of folders that were there before are never changed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pgan.errors import ConfigError, RendezvousUnavailable

_CANDIDATES = ("postgres", "nobody")
_SHARED_STATE = Path("/var/lib/p2pgan")
"""Where clusters and programs of root go if the account cannot reach where they are (such as /root)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server's programs; ``uid`` is None for ourselves."""

    uid: int | None = None
    gid: int | None = None

    def run(self, command: Sequence[str | Path], timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, away from our working folder and most of our environment.

        Raises:
            RendezvousUnavailable: it did not end in time, or cannot be run.
        """
        try:
            return subprocess.run(
                [str(part) for part in command],
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired as error:
            raise RendezvousUnavailable(
                f"the embedded Postgres: {Path(command[0]).name} took more than {timeout_s:.0f} s"
            ) from error
        except OSError as error:
            raise RendezvousUnavailable(
                f"the embedded Postgres: {command[0]} cannot be run: {error}"
            ) from error

    def own(self, path: Path) -> None:
        """Hand ``path`` itself over to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_use(self, path: Path) -> bool:
        """Whether this account can reach the folder or program ``path`` and may enter or run it."""
        return self.uid is None or self.run(["/usr/bin/env", "test", "-x", path], 10).returncode == 0


def server_account() -> Account:
    """Ourselves, or an account without rights if we are root."""
    if os.geteuid() != 0:
        return Account()
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigError(
        f"root cannot run Postgres and there is no account {' or '.join(_CANDIDATES)}: "
        "run p2pgan as another user"
    )


def reachable_folder(account: Account, folder: Path, name: str) -> Path:
    """``folder``, or a new one of that ``name`` elsewhere if the account cannot enter it."""
    if account.can_use(folder):
        return folder
    elsewhere = _shared_state() / name
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    return elsewhere


def reachable_programs(account: Account, bin_folder: Path, root: Path, parts: Sequence[Path]) -> Path:
    """``bin_folder``, or its copy elsewhere if the account cannot run what is in it.

    ``parts`` are the folders below ``root`` that make up the installation; they keep their places
    to each other, because the programs find their libraries by them.
    """
    if account.can_use(bin_folder / "postgres"):
        return bin_folder
    stamp = int((bin_folder / "postgres").stat().st_mtime)
    copy = _shared_state() / f"postgres-{parts[0].name}-{stamp}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=copy.parent))
        for part in parts:
            shutil.copytree(part, draft / part.relative_to(root), symlinks=True)
        draft.chmod(0o755)
        if copy.exists():  # somebody else was first
            shutil.rmtree(draft)
        else:
            draft.rename(copy)
    return copy / bin_folder.relative_to(root)


def _shared_state() -> Path:
    _SHARED_STATE.mkdir(parents=True, exist_ok=True)
    _SHARED_STATE.chmod(0o755)
    return _SHARED_STATE
