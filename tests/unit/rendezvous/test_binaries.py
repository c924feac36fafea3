from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError, RendezvousUnavailable
from p2pgan.rendezvous.account import Account
from p2pgan.rendezvous.binaries import BIN_FOLDER_VARIABLE, find_programs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, of which there is one that says its version."""
    program = tmp_path / "postgres"
    program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n")
    program.chmod(0o755)
    monkeypatch.setenv(BIN_FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_the_version_is_asked_for(folder: Path) -> None:
    assert find_programs(Account(), None).major == 17
    with pytest.raises(ConfigError, match="needs Postgres 16, which made this cluster; there is 17"):
        find_programs(Account(), 16)


def test_programs_that_are_not_there(folder: Path) -> None:
    (folder / "postgres").unlink()
    with pytest.raises(ConfigError, match="there are no Postgres programs in"):
        find_programs(Account(), None)


def test_a_machine_out_of_processes_is_not_taken_for_one_without_postgres(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RendezvousUnavailable, match="postgres cannot be run: .*temporarily unavailable"):
        find_programs(Account(), None)


def test_a_program_that_fails_is_named(folder: Path) -> None:
    (folder / "postgres").write_text("#!/bin/sh\nexit 127\n")
    with pytest.raises(RendezvousUnavailable, match="postgres cannot be run: .*127"):
        find_programs(Account(), None)
