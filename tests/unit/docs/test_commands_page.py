"""Commands in the documents are commands of the program, and the page of commands names every flag."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from p2pgan.cli.main import app
from p2pgan.lab.choose import shipped_scenarios

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FLAGS = {
    command.name: {
        flag
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("-")
    }
    for command in typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]  # a group has them
}
VARIABLE = re.compile(r"\bP2PGAN_[A-Z_]*[A-Z]\b")
COMMON = {"--help", "-h", "--debug"}


def _calls(text: str) -> list[list[str]]:
    """Calls in blocks of code and in code within lines, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(p2pgan [^`\n]+)`", text)
    calls = [shlex.split(line, comments=True) for line in lines]
    labs = [["p2pgan", "lab", *call[2:]] for call in calls if call[:2] == ["bash", "bootstrap/lab.sh"]]
    return [call for call in calls if call[:1] == ["p2pgan"] and len(call) > 1] + labs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_flags_in_the_documents_exist(page: Path) -> None:
    for _, command, *arguments in _calls(page.read_text(encoding="utf-8")):
        if command in ("--version", "--help", "--install-completion", "--show-completion"):
            continue
        assert command in FLAGS
        used = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
        assert used - FLAGS[command] - COMMON == set(), f"p2pgan {command}"


@pytest.mark.parametrize("command", FLAGS)
def test_the_page_of_commands_names_every_flag(command: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", sections[f"p2pgan {command}"]))
    if command in ("lead", "join"):
        named |= set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", sections["Flags about this machine"]))
    if command in ("lead", "train"):
        named |= set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", sections["Flags about the training"]))
    assert FLAGS[command] - COMMON - named == set()
    assert {flag for flag in named if flag.startswith("--")} - FLAGS[command] == set()


def test_variables_in_documents_and_bootstrap_files_are_read_by_somebody() -> None:
    """One of an older release would say nothing, and nobody would notice."""
    readers = [
        *(ROOT / "p2pgan").rglob("*.py"),
        *(ROOT / "bootstrap").glob("*.sh"),
        ROOT / "bootstrap/compose.yaml",
    ]
    known = set(VARIABLE.findall("".join(path.read_text(encoding="utf-8") for path in readers)))
    known |= {
        parameter.envvar
        for command in typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]  # a group has them
        for parameter in command.params
        if parameter.envvar
    }
    told = [*PAGES, *(path for path in (ROOT / "bootstrap").iterdir() if path.is_file())]
    assert {name for path in told for name in VARIABLE.findall(path.read_text(encoding="utf-8"))} <= known


def test_the_page_of_commands_names_every_scenario_that_comes_with_the_program() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    told = re.search(r"^These scenarios come with p2pgan.*?;", page, re.DOTALL | re.MULTILINE)
    assert told is not None
    named = set(re.findall(r"`([a-z-]+)`", told[0]))
    assert named == set(shipped_scenarios())
