from __future__ import annotations

import subprocess
import sys

import pytest

from p2pgan.cli import main
from p2pgan.errors import P2pganError, RendezvousRefused

COMMANDS = ["lead", "join", "generate", "status", "export", "train", "lab", "invite", "revoke", "peers"]
COMMANDS += ["simulate", "audit", "score", "publish"]
COMMANDS += ["doctor", "versions", "events", "log"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([command, "--help"]) == 0
    assert f"p2pgan {command}" in capsys.readouterr().out.partition("Example:")[2]


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_a_flag_without_a_value_shows_none(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--debug" in text
    assert "bool" not in text


def test_a_bare_call_gets_the_help_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2
    shown = capsys.readouterr()
    assert all(command in shown.out for command in COMMANDS)
    assert shown.err == ""


@pytest.mark.parametrize("value", ["lab-pc", "lab-pc.example.org", "192.0.2.7", "::1", "[2001:db8::7]", "*"])
def test_hosts_are_taken(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr("p2pgan.peer.start.join", taken.append)
    assert main.run(["join", "--rendezvous", "embedded:x", "--advertise", value, "--bind", value]) == 0
    assert taken[0].advertise == taken[0].bind == value.strip("[]")


def test_a_weights_file_beside_a_dsn_of_the_environment_is_no_contradiction(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P2PGAN_RENDEZVOUS", "embedded:x")
    assert main.run(["generate", "--weights", "/does/not/exist", "--out", "x.png"]) == 2
    assert "/does/not/exist cannot be read" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["juggle"], "juggle"),
        (["status"], "--rendezvous"),
        (["train", "--bogus"], "p2pgan train --help"),
        (["train", "--epochs", "none"], "--epochs"),
        (["train", "--set", "gan.model.width"], "KEY=VALUE"),
        (["train", "--set", "gan.model.widht=64"], "did you mean 'gan.model.width'"),
        (["train", "--set", "width=64"], "did you mean gan.model.width?"),
        (["train", "--set", "versions=64"], "did you mean goal.versions?"),
        (
            ["train", "--set", "name=mlp"],
            "did you mean gan.model.name or gan.loss.name or gan.schedule.name?",
        ),
        (["train", "--dataset", "folder:/does/not/exist"], "/does/not/exist"),
        (["train", "--device", "abacus"], "abacus"),
        (["generate", "--out", "x.png"], "--weights"),
        (["generate", "--weights", "/does/not/exist", "--out", "x.png"], "cannot be read"),
        (["generate", "--weights", "a", "--version", "1", "--out", "x.png"], "--version"),
        (["generate", "--weights", "a", "--rendezvous", "embedded:x", "--out", "x.png"], "leave one out"),
        (["generate", "--weights", "a", "--run", "x", "--out", "x.png"], "leave one out"),
        (["generate", "--weights", "a", "--out", "x.jpg"], "write x.png for one grid"),
        (["generate", "--weights", "a", "--out", "x.png", "-n", "5000000"], "at most 10,000 images"),
        (["export", "--rendezvous", "embedded:x", "--out", "x.png"], "write x.safetensors"),
        (["lead", "--rendezvous", "postgresql://db/gan", "--config", "/does/not/exist"], "/does/not/exist"),
        (["join", "--rendezvous", "postgresql://db/gan", "--name", "a/b"], "leave out the /"),
        (["join", "--rendezvous", "postgresql://db/gan", "--name", ""], "1 to 63 printable characters"),
        (["join", "--rendezvous", "postgresql://db/gan", "--name", "x" * 64], "1 to 63 printable"),
        (["join", "--rendezvous", "postgresql://db/gan", "--advertise", "lab-pc:4000"], "--port"),
        (["lead", "--rendezvous", "embedded:x", "--advertise", "192.0.2.7:4000"], "leave out the port"),
        (["lead", "--rendezvous", "embedded:x", "--advertise", "[::1]:4000"], "leave out the port"),
        (["lead", "--rendezvous", "embedded:x", "--advertise", "tcp://lab-pc"], "is not a host"),
        (["lead", "--rendezvous", "embedded:x", "--advertise", "lab pc"], "is not a host"),
        (["lead", "--rendezvous", "embedded:x", "--advertise", ""], "is not a host"),
        (["invite", "alice", "--rendezvous", "embedded:x", "--host", "db:5432"], "leave out the port"),
        (
            ["invite", "alice", "--rendezvous", "embedded:x", "--host", "10.9.9.9"],
            "on this machine only, not",
        ),
        (["lead", "--rendezvous", "embedded:x", "--bind", "0.0.0.0:4000"], "leave out the port"),
        (["lead", "--rendezvous", "embedded:x", "--threads", "100000"], "less than or equal to 256"),
        (["lab", "--scenario", "/does/not/exist"], "/does/not/exist"),
        (["lab", "--minutes", "-1"], "minutes"),
        (["lab", "--set", "gan.model.widht=64"], "did you mean"),
        (["lab", "--rendezvous", "postgresql://db/gan", "--versions", "0"], "--versions"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("P2PGAN_RENDEZVOUS", raising=False)
    assert main.run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.startswith("p2pgan: ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (P2pganError("it failed\nwith two lines"), 1),
        (RendezvousRefused("wrong password"), 2),
        (ZeroDivisionError("a defect"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_line_and_with_debug_a_traceback_too(
    error: BaseException,
    exit_code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    assert main.run(["status"]) == exit_code
    assert capsys.readouterr().err.count("\n") == 1
    assert main.run(["status", "--debug"]) == exit_code
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_in_a_command_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("p2pgan.peer.start.join", interrupted)
    assert main.run(["join", "--rendezvous", "embedded:x"]) == 130
    assert capsys.readouterr() == ("", "p2pgan: interrupted\n")


def test_the_command_starts_without_torch() -> None:
    """``p2pgan --help`` must not take seconds."""
    code = "import sys, p2pgan.cli.main as m; m.run(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_ctrl_c_during_the_first_imports_is_one_line() -> None:
    code = """
import sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
from p2pgan.__main__ import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "p2pgan: interrupted\n")


def test_the_end_says_nothing_more_and_keeps_what_was_printed() -> None:
    """Neither what waits in a buffer is lost, nor does a library speak at the interpreter's end."""
    code = """
import atexit, sys
from p2pgan.cli import main
atexit.register(print, "a leak", file=sys.stderr)
def run(arguments):
    sys.stdout.write("waits in a buffer")
    return 2
main.run = run
main.main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "waits in a buffer", "")


def test_what_others_chose_cannot_reach_the_terminal_in_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise P2pganError("no run named x: there is \x1b[2J\u202e")

    monkeypatch.setattr(main, "app", fail)
    assert main.run(["status"]) == 1
    assert all(c.isprintable() or c == "\n" for c in capsys.readouterr().err)
