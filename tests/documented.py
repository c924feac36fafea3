"""The commands in the documents, and what the documents say of how they are tried.

A block for a shell is run by a test as it stands, on a small class. A comment above it says otherwise:
``<!-- dry run: why -->`` has its trainings tell what they would do, and the rest run;
``<!-- not run: why -->`` has its lines only read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELLS = {"bash", "sh", "shell", "console"}
RUN, DRY_RUN, NOT_RUN = "run", "dry run", "not run"
TRAININGS = {"lead", "join", "train", "lab"}
"""Commands of the program that can tell what they would do."""
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<how>not run|dry run): (?P<why>[^\n]+?) -->\n+)?"
    r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# (?P<name>[\w-]+\.(?:py|yaml))\n")


class Command(NamedTuple):
    """A line of a block, and how it is tried."""

    words: list[str]
    how: str = RUN

    @property
    def of_program(self) -> list[str] | None:
        """What follows ``p2pgan``; None for another program."""
        match self.words:
            case ["p2pgan", *arguments]:
                return arguments
            case ["bash", "bootstrap/lab.sh", *arguments]:
                return ["lab", *arguments]
        return None


def commands(page: Path) -> list[Command]:
    """The lines of all blocks for a shell."""
    found = []
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] in SHELLS:
            lines = block["text"].replace("\\\n", " ").splitlines()
            words = [shlex.split(line, comments=True) for line in lines]
            found += [Command(line, block["how"] or RUN) for line in words if line]
    return found


def files(page: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of the blocks that are files: their first line is a comment with the name."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if (name := _FILE.match(block["text"])) is not None:
            yield name["name"], block["text"]
