"""What cannot be done: each its own clear line, exit code 2, no traceback."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from psycopg import sql
from psycopg.conninfo import make_conninfo

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import start_command
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


def look(dsn: str) -> tuple[str, ...]:
    """A command that is quick to start: what is wrong with a DSN, all of them say alike."""
    return (dsn, "status")


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


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port on which somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


CASES: dict[str, tuple[Case, str]] = {
    "no DSN": (lambda p: look("a database, please"), "not a valid DSN: try postgresql://"),
    "no such database": (lambda p: look(p.at(dbname="nowhere")), "no such database: create it"),
    "no such user": (lambda p: look(p.at(user="nobody")), "wrong user or password"),
    "wrong password": (lambda p: look(p.at(password="guess")), "wrong user or password"),
    "no schema": (lambda p: join(p, dsn=new_database(p, "empty")), "no p2pgan schema yet: `p2pgan lead`"),
    "newer schema": (newer_schema, "schema version 99 .* install the newer p2pgan"),
    "no such run": (lambda p: join(p, "--run", "other"), "no run named other: there is only"),
    "several runs": (several_runs, "2 active runs: choose one with --run: first, second"),
    "missing images": (
        lambda p: join(p, "--dataset", f"folder:{p.folder}/none"),
        "no folder at .*/none; check the path",
    ),
    "unknown images": (lambda p: join(p, "--dataset", "imagenet"), "imagenet"),
    "other images": (lambda p: join(p, "--dataset", other_images(p)), "not the images of the run only: 3"),
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


def _call(place: Place, case: Case) -> Said:
    dsn, command, *arguments = case(place)
    process = start_command(dsn, command, *arguments)
    stdout, stderr = process.communicate(timeout=240)
    return Said(process.returncode, stdout, stderr)


@pytest.fixture(scope="module")
def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("refusals")
    made = Place(postgres.dsn, folder)
    dsn = new_database(made, "refusals")
    with Swarm(folder, dsn, "only") as swarm:
        swarm.create()
    return Place(dsn, folder)


@pytest.fixture(scope="module")
def answers(
    place: Place, taken: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Said]]]:
    """Every command runs at once, as far as the machine can: starting Python and torch takes longest."""
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(os.cpu_count()) as pool:
        patch.setenv("P2PGAN_STATE", str(tmp_path_factory.mktemp("state")))
        called = {name: pool.submit(_call, place, case) for name, (case, _) in CASES.items()}
        port = ("--state-dir", str(place.folder / "port"), "--port", str(taken))
        called["port taken"] = pool.submit(_call, place, lambda p: join(p, *port))
        called["nobody there"] = pool.submit(_call, place, lambda p: look(p.at(port="1")))
        yield called


def check(said: Said, code: int, expected: str) -> None:
    """One line, to the point, and no traceback."""
    assert said.code == code, said.stderr
    assert len(said.stderr.splitlines()) == 1, said.stderr
    assert said.stderr.startswith("p2pgan: ")
    assert re.search(expected, said.stderr), said.stderr
    assert "Traceback" not in said.stdout + said.stderr


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_has_its_line(name: str, answers: dict[str, Future[Said]]) -> None:
    check(answers[name].result(), 2, CASES[name][1])


def test_a_port_that_is_taken(answers: dict[str, Future[Said]], taken: int) -> None:
    check(answers["port taken"].result(), 2, f"{taken}")


def test_a_database_that_does_not_answer_may_do_so_later(answers: dict[str, Future[Said]]) -> None:
    """Nothing is wrong with what was asked for: exit code 1, as for any failure."""
    check(answers["nobody there"].result(), 1, "127.0.0.1:1/.* cannot be reached")
