"""``p2pgan doctor`` on this machine, without a database."""

from __future__ import annotations

import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from p2pgan.cli.main import run
from p2pgan.errors import ConfigError
from p2pgan.transport import load_keys
from p2pgan.transport.checkup import free_ports


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("P2PGAN_RENDEZVOUS", raising=False)
    monkeypatch.setenv("P2PGAN_STATE", str(tmp_path / "state"))


def report(capsys: pytest.CaptureFixture[str], *flags: str, code: int = 0) -> dict[str, dict[str, object]]:
    assert run(["doctor", "--json", "--bind", "127.0.0.1", *flags]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] == (code == 0)
    return {check["check"]: check for check in told["checks"]}


def test_a_sound_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checks = report(capsys)
    assert {"python", "torch", "zeromq", "psycopg", "cpu", "cores", "memory", "files"} <= checks.keys()
    assert checks["zeromq"]["facts"]["curve"] is True  # type: ignore[index]  # a mapping
    assert checks["address"]["facts"] == {"address": "127.0.0.1"}
    assert "database" not in checks and "dataset" not in checks
    assert not (tmp_path / "state").exists(), "a check-up makes nothing"


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--bind", "127.0.0.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "this machine can take part"
    assert {line.split()[0] for line in lines[:-1]} <= {"ok", "note"}


def test_images_and_their_fingerprint(capsys: pytest.CaptureFixture[str]) -> None:
    facts = report(capsys, "--dataset", "digits")["dataset"]["facts"]
    assert isinstance(facts, dict) and facts["count"] == 1797 and len(facts["digest"]) == 64
    missing = report(capsys, "--dataset", "folder:/does/not/exist", code=1)["dataset"]
    assert missing["mark"] == "mend" and "/does/not/exist" in str(missing["text"])


def test_a_key_that_others_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = load_keys(tmp_path)
    sound = report(capsys, "--state-dir", str(tmp_path))["key"]
    assert sound["mark"] == "ok" and keys.secret not in str(sound) and keys.public not in str(sound)
    (tmp_path / "peer.key").chmod(0o644)
    open_to_all = report(capsys, "--state-dir", str(tmp_path), code=1)["key"]
    assert "chmod 600" in str(open_to_all["text"])


def test_a_state_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "state"
    file.touch()
    found = report(capsys, "--state-dir", str(file), code=1)
    assert found["state"]["mark"] == "mend" and "--state-dir" in str(found["state"]["text"])


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken(taken_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    ports = report(capsys, "--port", str(taken_port), code=1)["ports"]
    assert f"port {taken_port} on 127.0.0.1 is taken" in str(ports["text"])


@pytest.fixture
def tunnel() -> Iterator[Callable[[int], str]]:
    """Forwards ports of another address to the same ones here, as a router or an ssh tunnel does."""
    outside = "127.0.0.77"
    with ExitStack() as stack:

        def forward(port: int) -> str:
            server = stack.enter_context(socket.create_server((outside, port)))
            thread = threading.Thread(target=_forward, args=(server, port))
            stack.callback(thread.join)
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            thread.start()
            return outside

        yield forward


def _forward(server: socket.socket, port: int) -> None:
    with suppress(OSError):  # it is closed in the end
        while True:
            came, _ = server.accept()
            with came, socket.create_connection(("127.0.0.1", port)) as onwards:
                while data := came.recv(4096):
                    onwards.sendall(data)


def two_free_ports() -> int:
    """The first of two that follow on each other."""
    while True:
        first, _ = free_ports("127.0.0.1")
        with suppress(ConfigError):
            return free_ports("127.0.0.1", min(first, 65_000))[0]


def test_whether_the_way_to_an_advertised_address_leads_here(
    tunnel: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "way" not in report(capsys), "an address of this machine's own leads here"
    port = two_free_ports()
    outside = tunnel(port)
    half = report(capsys, "--port", str(port), "--advertise", outside)["way"]
    assert half["mark"] == "note" and half["facts"]["closed"] == [port + 1]  # type: ignore[index]  # a mapping
    assert f"{outside} at {port + 1} does not come here" in str(half["text"])
    assert str(half["text"]).endswith("(troubleshooting.md#firewall)")
    tunnel(port + 1)
    assert report(capsys, "--port", str(port), "--advertise", outside)["way"]["mark"] == "ok"
    anywhere = report(capsys, "--advertise", "127.0.0.78")["way"]
    assert anywhere["mark"] == "note" and "give --port N" in str(anywhere["text"])


def test_few_files(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (128, 4096))
    files = report(capsys, code=1)["files"]
    assert files["mark"] == "mend" and "ulimit -n" in str(files["text"])


def test_wrong_use_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--rendezvous", "postgresql://me:a@b@db/gan"]) == 2
    assert capsys.readouterr().out == ""
