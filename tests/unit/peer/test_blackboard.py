"""What is written on the blackboard: lines that work elsewhere, and no secret that is not meant for it."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from p2pgan.errors import ConfigError
from p2pgan.peer import blackboard as board
from p2pgan.peer.config import run_config
from p2pgan.peer.options import LeadOptions
from p2pgan.rendezvous.logins import LoginTaken

COMMIT = "5f0c2a9c6f4e7d8b9a0b1c2d3e4f5a6b7c8d9e0f"


class Doorkeeper:
    """Remembers whom it was to let in."""

    def __init__(self) -> None:
        self.invited: list[tuple[str, str | None, str | None, int]] = []
        self.taken: set[str] = set()

    def invite(
        self, login: str, host: str | None = None, *, password: str | None = None, connections: int = 20
    ) -> str:
        if login in self.taken:
            raise LoginTaken(f"{login} is taken")
        self.invited.append((login, host, password, connections))
        return f"postgresql://{login}:{password}@{host}/gan"


def installed_from(monkeypatch: pytest.MonkeyPatch, origin: object | None) -> None:
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(
        board, "distribution", lambda _: SimpleNamespace(version="1.2.3", read_text=lambda _: text)
    )


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (None, "pip install p2pgan==1.2.3"),
        (
            {"url": "https://me:token@git.example.org/gan", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f'pip install "git+https://git.example.org/gan@{COMMIT}"',
        ),
        (
            {"url": "ssh://git@git.example.org/gan", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f'pip install "git+ssh://git@git.example.org/gan@{COMMIT}"',
        ),
        (
            {"url": "https://example.org/p2pgan-1.2.3.whl", "archive_info": {}},
            'pip install "https://example.org/p2pgan-1.2.3.whl"',
        ),
    ],
)
def test_others_install_what_runs_here(origin: object, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_from(monkeypatch, origin)
    assert board.install_line() == line


def test_what_was_never_installed_is_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr(board, "distribution", not_there)
    monkeypatch.setattr(board, "_remote_of", lambda folder: f"https://example.org/{folder.name}")
    root = Path(board.__file__).parents[2]
    assert board.install_line() == f'pip install "git+https://example.org/{root.name}"'


def test_a_checkout_is_named_by_where_it_came_from_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_from(monkeypatch, {"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    assert board.install_line().startswith("pip install .   # in a copy of ")
    git = ("git", "-C", str(tmp_path))
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://me:token@git.example.org/gan.git"], check=True)
    assert board.install_line() == 'pip install "git+https://git.example.org/gan.git"'
    subprocess.run([*git, "remote", "set-url", "origin", "/srv/gan.git"], check=True)
    assert board.install_line().startswith("pip install .   # in a copy of ")


def test_a_class_gets_the_same_login_at_every_start(tmp_path: Path) -> None:
    doorkeeper = Doorkeeper()
    options = LeadOptions(rendezvous="host=127.0.0.1 dbname=gan", state_dir=tmp_path, advertise="10.0.0.7")
    board.invite_class(doorkeeper, options)
    board.invite_class(doorkeeper, options)
    first, second = doorkeeper.invited
    assert first == second
    login, host, password, connections = first
    assert (login, host, connections) == ("class", "10.0.0.7", 200)
    assert password is not None and len(password) == 14 and password.count("-") == 2


def test_a_second_class_on_a_server_takes_the_next_login(tmp_path: Path) -> None:
    doorkeeper = Doorkeeper()
    options = LeadOptions(rendezvous="postgresql://db.example.org/gan", state_dir=tmp_path)
    board.invite_class(doorkeeper, options)
    doorkeeper.taken = {"class", "class-2"}
    board.invite_class(doorkeeper, options)
    first, second = doorkeeper.invited
    assert (first[0], second[0]) == ("class", "class-3")
    assert first[2] != second[2]
    doorkeeper.taken.update(board.CLASS_LOGINS)
    with pytest.raises(LoginTaken):
        board.invite_class(doorkeeper, options)


def test_a_server_elsewhere_keeps_its_name(tmp_path: Path) -> None:
    doorkeeper = Doorkeeper()
    board.invite_class(
        doorkeeper, LeadOptions(rendezvous="postgresql://db.example.org/gan", state_dir=tmp_path)
    )
    assert doorkeeper.invited[0][1] is None


def test_passwords_for_two_purposes_or_of_two_secrets_are_others() -> None:
    made = {board.easily_written(secret, purpose) for secret in ("a", "b") for purpose in ("c", "d")}
    assert len(made) == 4


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        ("digits", ""),
        ("cifar10", " --download"),
        ("zip:/home/teacher/faces.zip", ' --dataset "zip:faces.zip"'),
    ],
)
def test_the_line_that_joins_names_run_and_images(spec: str, more: str) -> None:
    lines = list(board.blackboard("DSN", "http://page", "faces", run_config({"dataset": spec})))
    assert lines[2] == f'  p2pgan join --rendezvous "DSN" --run faces{more}'
    assert lines[3] == "and to watch: http://page"


def test_an_embedded_database_is_for_no_class() -> None:
    with pytest.raises(ConfigError, match="this machine only: lead a class"):
        LeadOptions(rendezvous="embedded:class", class_page="http://page")
