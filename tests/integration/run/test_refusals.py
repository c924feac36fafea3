"""What cannot be done: each its own clear line, exit code 2, no traceback."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from psycopg import sql
from psycopg.conninfo import make_conninfo

from p2pgan.cli import main
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import DEADLINE_S, start_command
from tests.integration.run.swarm import Swarm


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Place:
    """Where commands are tried: one run, ``only``, on one server."""

    dsn: str
    folder: Path

    def at(self, **parts: str) -> str:
        """The DSN with other parts."""
        return make_conninfo(self.dsn, **parts)


Case = Callable[[Place], tuple[str, ...]]
"""What to call; the first of it is the DSN."""

JOIN = ("--bind", "127.0.0.1", "--advertise", "127.0.0.1", "--threads", "1", "--name", "guest")


def join(place: Place, *arguments: str, dsn: str | None = None) -> tuple[str, ...]:
    return (dsn or place.dsn, "join", *JOIN, *arguments)


def other_images(place: Place) -> str:
    folder = place.folder / "others"
    folder.mkdir(exist_ok=True)
    for number in range(3):
        Image.new("RGB", (32, 32), (number * 80, 0, 0)).save(folder / f"{number}.png")
    return f"folder:{folder}"


def new_database(place: Place, name: str, *statements: str) -> str:
    with psycopg.connect(place.dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = place.at(dbname=name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    return dsn


def newer_schema(place: Place) -> tuple[str, ...]:
    dsn = new_database(
        place,
        "newer",
        "create schema p2pgan",
        "create table p2pgan.migrations (number int, name text, applied_at timestamptz default now())",
        "insert into p2pgan.migrations select n, 'from the future' from generate_series(1, 99) as n",
    )
    return join(place, dsn=dsn)


def several_runs(place: Place) -> tuple[str, ...]:
    dsn = new_database(place, "several")
    for name in ("first", "second"):
        with Swarm(place.folder, dsn, name) as swarm:
            swarm.create()
    return join(place, dsn=dsn)


def corrupt_weights(place: Place) -> tuple[str, ...]:
    file = place.folder / "weights.safetensors"
    file.write_bytes(os.urandom(4096))
    return (place.dsn, "generate", "--weights", str(file), "--out", str(place.folder / "grid.png"))


CASES: dict[str, tuple[Case, str]] = {
    "no DSN": (lambda p: join(p, dsn="a database, please"), "not a valid DSN: try postgresql://"),
    "no such database": (
        lambda p: join(p, dsn=p.at(dbname="nowhere")),
        "no such database: create it.*#database-name",
    ),
    "no such user": (lambda p: join(p, dsn=p.at(user="nobody")), "wrong user or password"),
    "wrong password": (lambda p: join(p, dsn=p.at(password="guess")), "wrong user or password"),
    "no schema": (
        lambda p: join(p, dsn=new_database(p, "empty")),
        "no p2pgan schema yet: `p2pgan lead`.*#not-started",
    ),
    "newer schema": (newer_schema, "schema version 99 .* install the newer p2pgan"),
    "no such run": (lambda p: join(p, "--run", "other"), "no run named other: there is only"),
    "several runs": (several_runs, "2 active runs: choose one with --run: first, second"),
    "missing images": (
        lambda p: join(p, "--dataset", f"folder:{p.folder}/none"),
        "no folder at .*/none; check the path",
    ),
    "unknown images": (lambda p: join(p, "--dataset", "imagenet"), "imagenet"),
    "other images": (
        lambda p: join(p, "--dataset", other_images(p)),
        "not the images of the run only: 3 .*#other-images",
    ),
    "corrupt weights": (corrupt_weights, "weights.safetensors"),
    "unknown setting": (
        lambda p: (p.dsn, "lead", "--run", "new", "--set", "gan.model.widht=8"),
        "no setting 'gan.model.widht'; did you mean 'gan.model.width'",
    ),
    "contradiction": (
        lambda p: (p.dsn, "lead", "--run", "only", "--set", "gan.seed=7"),
        "was created with gan.seed = 1, not 7",
    ),
}


AS_PROCESSES = ("wrong password", "other images", "corrupt weights")
"""The rest is called in this process: starting Python and torch takes seconds, and says nothing new."""


@pytest.fixture(scope="module")
def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("refusals")
    dsn = new_database(Place(postgres.dsn, folder), "refusals")
    with Swarm(folder, dsn, "only") as swarm:
        swarm.create()
    return Place(dsn, folder)


def call(
    called: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Run a command line as the program does."""
    dsn, *arguments = called
    monkeypatch.setenv("P2PGAN_RENDEZVOUS", dsn)
    monkeypatch.setattr("p2pgan.peer.meeting.PATIENCE_S", 0)  # no leader is about to make what is missing
    code = main.run(arguments)
    return Said(code, *capsys.readouterr())


def check(said: Said, code: int, expected: str) -> None:
    """One line, to the point, and no traceback."""
    assert said.code == code, said.stderr
    assert len(said.stderr.splitlines()) == 1, said.stderr
    assert said.stderr.startswith("p2pgan: ")
    assert re.search(expected, said.stderr), said.stderr
    assert "Traceback" not in said.stdout + said.stderr


@pytest.mark.parametrize("name", [name for name in CASES if name not in AS_PROCESSES])
def test_each_mistake_has_its_line(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case, expected = CASES[name]
    check(call(case(place), monkeypatch, capsys), 2, expected)


def test_a_port_that_is_taken(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        arguments = join(place, "--state-dir", str(place.folder / "guest"), "--port", str(port))
        check(call(arguments, monkeypatch, capsys), 2, str(port))


def test_a_database_that_does_not_answer_may_do_so_later(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is wrong with what was asked for: exit code 1, as for any failure."""
    said = call(join(place, dsn=place.at(port="1")), monkeypatch, capsys)
    check(said, 1, "127.0.0.1:1/.* cannot be reached")


def test_so_it_is_at_the_command_line(place: Place) -> None:
    processes = {}
    for name in AS_PROCESSES:
        dsn, *arguments = CASES[name][0](place)
        processes[name] = start_command(dsn, *arguments)
    for name, process in processes.items():
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
        check(Said(process.returncode, stdout, stderr), 2, CASES[name][1])
