"""`bootstrap/postgres.sh` on a machine that is thrown away: a cluster of its own, made and removed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from p2pgan.rendezvous import Rendezvous

SCRIPT = Path(__file__).parents[3] / "bootstrap" / "postgres.sh"
CLUSTER = "p2pgantest"

pytestmark = [
    pytest.mark.skipif(os.environ.get("CI") != "true", reason="it changes the system: only where CI=true"),
    pytest.mark.skipif(os.geteuid() != 0, reason="it needs root"),
    pytest.mark.skipif(shutil.which("pg_createcluster") is None, reason="Debian's Postgres is not installed"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_script(port: int) -> str:
    """The DSN that the script prints."""
    settings = {"P2PGAN_PG_CLUSTER": CLUSTER, "P2PGAN_PG_PORT": str(port)}
    ended = subprocess.run(
        ["bash", str(SCRIPT)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (dsn,) = re.findall(r"postgresql://\S+", ended.stdout)
    return str(dsn)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of the script's cluster, which is removed in the end."""
    yield free_port()
    for version in Path("/etc/postgresql").iterdir():
        if (version / CLUSTER).exists():
            subprocess.run(["pg_dropcluster", "--stop", version.name, CLUSTER], check=True, timeout=60)
            # Debian leaves the files that it does not know.
            shutil.rmtree(version / CLUSTER, ignore_errors=True)


def test_the_instructor_may_invite_others_under_tls_and_no_more(port: int) -> None:
    dsn = run_script(port)
    with Rendezvous(dsn) as database:
        database.migrate()
        guest = database.invite("class")
    assert "sslmode=require" in guest
    with psycopg.connect(guest) as connection:
        assert connection.pgconn.ssl_in_use
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select rolsuper, rolcreaterole, rolcreatedb, current_setting('max_connections'),"
            " pg_get_userbyid(datdba) from pg_roles, pg_database"
            " where rolname = current_user and datname = current_database()"
        ).fetchone()
    assert row == (False, True, False, "300", "teacher")
    elsewhere = dsn.replace("sslmode=require", "sslmode=disable")
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(elsewhere).close()

    again = run_script(port)
    assert again != dsn
    with Rendezvous(again) as database:
        database.check_schema()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dsn).close()
