"""Commands on real servers with ``--dry-run``, and ``--show-config`` of a run that is there."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from p2pgan.cli.main import run
from p2pgan.peer.config import RunConfig
from p2pgan.protocol.ids import Span
from p2pgan.rendezvous import Rendezvous
from tests.contract.rendezvous.guests import Guest
from tests.contract.rendezvous.scenes import Scene, digest_of, make_snapshot


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("P2PGAN_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def dry_run(capsys: pytest.CaptureFixture[str], command: str, dsn: str, *flags: str) -> list[str]:
    machine = ("--bind", "127.0.0.1", "--name", "ada")
    assert run([command, "--rendezvous", dsn, *machine, "--dry-run", *flags]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def faces(fresh: Rendezvous) -> Rendezvous:
    """A rendezvous with a run."""
    manifest, chunks = make_snapshot(0, digest_of(b"weights 0"), 0)
    fresh.create_run(
        "faces",
        RunConfig().model_dump(mode="json"),
        {"count": 1797, "resolution": 32, "digest": "d" * 64},
        "s" * 64,
        512,
        manifest,
        chunks,
    )
    return fresh


def test_a_new_run_in_an_empty_database(
    fresh_dsn: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(capsys, "lead", fresh_dsn, "--epochs", "3", "--no-train", "--class") == [
        "make the tables of p2pgan in the database",
        "create the run gan: dcgan at 32 px on digits, until 3 epochs",
        "read the images digits",
        f"be the peer ada, with a new key in {state / 'ada'}",
        "listen on 127.0.0.1, two free ports, and tell others to dial 127.0.0.1",
        "invite a whole class",
        "lead, and train nothing",
    ]
    assert not state.exists()
    with psycopg.connect(fresh_dsn) as database:
        schemas = database.execute("select from pg_namespace where nspname = 'p2pgan'").fetchall()
        assert schemas == []


def test_an_embedded_postgres_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"embedded:{tmp_path / 'class'}"
    assert dry_run(capsys, "lead", place)[0] == f"make an embedded Postgres at {place}"
    assert run(["lead", "--rendezvous", place, "--class", "--dry-run"]) == 2  # nobody else could reach it
    assert not (tmp_path / "class").exists()
    assert run(["join", "--rendezvous", place, "--dry-run"]) == 2


def test_a_run_that_exists(
    faces: Rendezvous, fresh_dsn: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "take part in the run faces at version 0: dcgan at 32 px on digits, without an end"
    assert dry_run(capsys, "lead", fresh_dsn)[0] == first
    assert dry_run(capsys, "join", fresh_dsn)[0] == first
    assert faces.list_peers(faces.find_run("faces").id).peers == ()
    assert not state.exists()


def test_a_joiner_is_shown_what_the_run_has(
    faces: Rendezvous, fresh_dsn: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--dataset", "zip:faces.zip", "--threads", "1")
    assert run(["join", "--rendezvous", fresh_dsn, "--show-config", *flags]) == 0
    shown = capsys.readouterr().out
    of_run, of_machine = shown.split("\n\n")
    rows = [line.split() for line in of_run.splitlines()]
    assert ["dataset", "'digits'", "run", "faces"] in rows
    assert {tuple(row[-2:]) for row in rows} == {("run", "faces")}
    rows = [line.split() for line in of_machine.splitlines()]
    assert ["--dataset", "'zip:faces.zip'", "--dataset"] in rows
    assert ["--model", "None", "default"] in rows
    assert faces.list_peers(faces.find_run("faces").id).peers == ()
    assert not state.exists()


def test_a_training_that_nobody_has_started(fresh_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["join", "--rendezvous", fresh_dsn, "--bind", "127.0.0.1", "--dry-run"]) != 0
    assert capsys.readouterr().err.endswith("(troubleshooting.md#not-started)\n")


@pytest.mark.parametrize(
    ("command", "flags", "why"),
    [
        ("lead", ("--seed", "7"), "the run was created with gan.seed"),
        ("lead", ("--conditional",), "without classes"),
        ("join", ("--run", "cats"), "no run named cats"),
        ("join", ("--dataset", "folder:/does/not/exist"), "/does/not/exist"),
    ],
)
def test_what_would_stop_it(
    command: str,
    flags: tuple[str, ...],
    why: str,
    faces: Rendezvous,
    fresh_dsn: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([command, "--rendezvous", fresh_dsn, "--bind", "127.0.0.1", "--dry-run", *flags]) == 2
    assert why in capsys.readouterr().err


def told(capsys: pytest.CaptureFixture[str], *command: str) -> list[str]:
    assert run([*command, "--dry-run"]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_way_back_that_is_not_taken(scene: Scene, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    for unit in range(2):
        assert scene.commit(scene.record(("A", Span(0, unit, 300 * unit, 300 * unit + 300)))).committed
    place = ("--rendezvous", server, "--run", scene.run.name)
    assert told(capsys, "rollback", *place, "--to", "1") == [
        f"make the weights of version 1 of {scene.run.name} its version 3",
        "take the pen from whoever leads, and with it what was trained since the last commit",
    ]
    assert scene.rendezvous.find_run(scene.run.name).version == 2
    assert scene.rendezvous.renew_lease(scene.run.id, "A", 1, 60) is not None
    assert run(["rollback", *place, "--to", "9", "--dry-run"]) == 2
    assert "weights of version 9 are not stored" in capsys.readouterr().err


def test_a_login_that_is_neither_made_nor_ended(
    scene: Scene, server: str, alice: Guest, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.take_pen(alice.login)
    place = ("--rendezvous", server)
    new = f"{alice.login}-2"
    made, line = told(capsys, "invite", new, *place)
    assert made == f"make the login {new}"
    assert line.startswith(f"print the line with which {new} joins at ") and "@" not in line
    assert told(capsys, "invite", alice.login, *place)[0].endswith("was invited before, a new password")
    assert told(capsys, "revoke", alice.login, *place) == [
        f"let nobody log in as {alice.login} any more, end its sessions, dismiss 1 peer"
    ]
    alice.connect().close()
    assert scene.rendezvous.read_lease(scene.run.id).holder == alice.login
    assert new not in {row.login for row in scene.rendezvous.list_logins()}
    for command in ("invite", "revoke"):
        assert run([command, "Nobody", *place, "--dry-run"]) == 2


def test_an_invitation_to_an_empty_database(fresh_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "invite", "alice", "--rendezvous", fresh_dsn) == [
        "make the tables of p2pgan in the database",
        "make the login alice",
    ]
