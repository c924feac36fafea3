"""``p2pgan dashboard`` as a process."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

from p2pgan.rendezvous import EmbeddedPostgres
from tests.contract.rendezvous.scenes import Scene

COMMAND = (sys.executable, "-m", "p2pgan", "dashboard", "--port", "0", "--rendezvous")


def test_it_prints_where_it_is_and_ends_when_asked(postgres: EmbeddedPostgres, scene: Scene) -> None:
    with subprocess.Popen([*COMMAND, postgres.dsn], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said, _, address = process.stdout.readline().strip().partition(" ")
        assert said == "dashboard:"
        with urllib.request.urlopen(address, timeout=60) as page:
            assert b"<title>p2pgan</title>" in page.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_database_without_a_run_is_one_line(postgres: EmbeddedPostgres) -> None:
    elsewhere = postgres.dsn.rsplit("/", 1)[0] + "/template1"
    ended = subprocess.run([*COMMAND, elsewhere], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "p2pgan lead" in ended.stderr
