"""A real Postgres for each server there is, and a run in it to play with."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from p2pgan.rendezvous import EmbeddedPostgres, Rendezvous
from p2pgan.rendezvous.binaries import BIN_FOLDER_VARIABLE
from tests.contract.rendezvous.guests import Guest, invite_guest
from tests.contract.rendezvous.scenes import Scene, open_scene

DEBIAN = Path("/usr/lib/postgresql/15/bin")
_numbers = itertools.count()


@pytest.fixture(scope="session", params=["embedded", "debian-15"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a server that runs for the whole session."""
    programs = None if request.param == "embedded" else DEBIAN
    if programs is not None and not (programs / "postgres").exists():
        pytest.skip("Debian's postgresql-15 is not installed")
    # Not in pytest's own folder: that one is closed to the account Postgres runs under.
    folder = Path(tempfile.mkdtemp(prefix="p2pgan-test-"))
    folder.chmod(0o755)
    postgres = EmbeddedPostgres(folder)
    with _programs_of(programs):
        dsn = postgres.start()
    yield dsn
    with _programs_of(programs):
        postgres.leave()
    shutil.rmtree(folder)


@contextmanager
def _programs_of(folder: Path | None) -> Iterator[None]:
    """No longer than a server needs it: others, with programs of their own, start and end meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(BIN_FOLDER_VARIABLE, raising=False)
        if folder is not None:
            patch.setenv(BIN_FOLDER_VARIABLE, str(folder))
        yield


@pytest.fixture
def fresh_dsn(server: str) -> Iterator[str]:
    """The DSN of an empty database on the server."""
    name = f"fresh_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield server.rsplit("/", 1)[0] + f"/{name}"
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def fresh(fresh_dsn: str) -> Iterator[Rendezvous]:
    """A rendezvous without runs."""
    with Rendezvous(fresh_dsn) as rendezvous:
        rendezvous.migrate()
        yield rendezvous


@pytest.fixture(scope="session")
def rendezvous(server: str) -> Iterator[Rendezvous]:
    """A rendezvous that tests share; each makes its own run."""
    with Rendezvous(server) as shared:
        shared.migrate()
        yield shared


@pytest.fixture
def scene(rendezvous: Rendezvous) -> Scene:
    """A new run with peers A and B; A holds the pen in term 1."""
    return open_scene(rendezvous)


@pytest.fixture
def alice(rendezvous: Rendezvous, scene: Scene) -> Iterator[Guest]:
    """An invited login with a peer in the run."""
    guest = invite_guest(rendezvous, scene)
    yield guest
    guest.close()


@pytest.fixture
def mallory(rendezvous: Rendezvous, scene: Scene) -> Iterator[Guest]:
    """Another invited login with a peer in the run, of bad intentions."""
    guest = invite_guest(rendezvous, scene)
    yield guest
    guest.close()
