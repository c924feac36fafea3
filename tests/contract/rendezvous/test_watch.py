"""``p2pgan status --watch`` while the server goes away and comes back."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pgan.rendezvous import EmbeddedPostgres, Rendezvous
from tests.contract.rendezvous.scenes import open_scene


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="p2pgan-test-"))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder) as server:
        yield server
    shutil.rmtree(folder)


def test_it_goes_on_when_the_database_is_back(postgres: EmbeddedPostgres) -> None:
    with Rendezvous(postgres.dsn) as rendezvous:
        rendezvous.migrate()
        name = open_scene(rendezvous).run.name
    command = [sys.executable, "-m", "p2pgan", "status", "--rendezvous", postgres.dsn, "--watch", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = iter(process.stdout.readline, "")
        assert any(f"run {name}, version 0" in line for line in told)
        postgres.crash()
        assert any("looking again every 0.2 s" in line for line in told)
        postgres.start()
        assert any(f"run {name}, version 0" in line for line in told)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(60) == 0
