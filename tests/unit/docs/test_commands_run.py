"""Every command in the documents can be given as it stands.

Lines of ``p2pgan`` are parsed by the program, values included. Scripts are called only with flags that they
have. Any other line must be marked as not run; tests/integration/docs runs what is not marked.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import typer

from p2pgan.cli.main import app
from tests.documented import NOT_RUN, PAGES, ROOT, RUN, TRAININGS, Command, commands

PROGRAM: Any = typer.main.get_command(app)  # typer's own click has no types


def check(command: Command) -> None:
    """Raises AssertionError, or what the program says, for a command that cannot be given like this."""
    if (arguments := command.of_program) is not None:
        parse(arguments)
        ends = arguments[0] not in TRAININGS | {"dashboard"} and "--watch" not in arguments
        if not ends and command.how == RUN:
            pytest.fail(f"nothing ends {' '.join(arguments)!r}: write <!-- dry run: why --> above its block")
        return
    match command.words:
        case ["bash", "bootstrap/test.sh", *arguments]:
            assert all((ROOT / a).exists() for a in arguments if not a.startswith("-"))
        case ["python", "-m", module, *arguments]:
            check_script(f"{module.replace('.', '/')}.py", arguments)
        case ["python", script, *arguments]:
            check_script(script, arguments)
    if command.how != NOT_RUN:
        words = " ".join(command.words)
        pytest.fail(f"nothing runs {words!r}: write <!-- not run: why --> above its block")


def check_script(script: str, arguments: list[str]) -> None:
    """Raises AssertionError for a flag that the script lacks."""
    used = {a.partition("=")[0] for a in arguments if a.startswith("-")}
    assert used - flags_of(ROOT / script) == set(), script


def parse(arguments: list[str]) -> None:
    """Has the program read a command line, without doing what it says."""
    if arguments in (["--version"], ["--help"]):
        return
    name, *rest = arguments
    assert name in PROGRAM.commands, f"p2pgan {name}"
    PROGRAM.commands[name].make_context(name, rest)


def flags_of(script: Path) -> set[str]:
    """The flags that a script defines with argparse, its own or those of the module it shares."""
    texts = [script.read_text(encoding="utf-8")]
    if "from downloading import" in texts[0]:
        texts.append((script.parent / "downloading.py").read_text(encoding="utf-8"))
    calls = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_can_be_given(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PGAN_RENDEZVOUS", "embedded:class")  # pages that say so leave the flag out
    for command in commands(page):
        check(command)


@pytest.mark.parametrize(
    "line",
    [
        "p2pgan conquer --rendezvous embedded:class",
        "p2pgan lead --rendezvous embedded:class --horsepower 3",
        "p2pgan lab --minutes soon",
        "bash bootstrap/lab.sh --cats",
        "python scripts/measure_scale.py --colour red",
        "python scripts/no_such_script.py",
        "rm -rf class",
        "p2pgan join --rendezvous embedded:class",
        "p2pgan status --rendezvous embedded:class --watch 5",
    ],
)
def test_a_wrong_command_is_found(line: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Text.\n\n```bash\n{line}   # a comment\n```\n")
    (command,) = commands(page)
    with pytest.raises((AssertionError, pytest.fail.Exception, typer.TyperException, OSError)):
        check(command)


def test_a_marker_is_for_its_own_block_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: a reason -->\n```bash\nfirst\n```\n\nText.\n\n```bash\nsecond\n```\n")
    assert commands(page) == [Command(["first"], NOT_RUN), Command(["second"])]
