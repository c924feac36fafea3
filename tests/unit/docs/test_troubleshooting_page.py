"""Lines that the page on troubleshooting explains are lines that the program prints."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from p2pgan.errors import Trouble

ROOT = Path(__file__).parents[3]
GAP = "…"


def test_the_lines_explained_are_lines_of_the_program() -> None:
    texts = [
        _text(node)
        for path in (ROOT / "p2pgan").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    ]
    printed = "\n".join(texts)
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)
    lines = [line for cell in cells for line in re.findall(r"`([^`]*…[^`]*|[^`]* [^`]*)`", cell)]
    pieces = {piece.strip() for line in lines for piece in line.split(GAP)}
    assert sorted(piece for piece in pieces if piece not in printed) == []


def test_every_anchor_that_is_printed_is_on_the_page() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    assert {str(trouble) for trouble in Trouble} - anchors == set()


def test_every_trouble_is_told_somewhere() -> None:
    program = [path.read_text(encoding="utf-8") for path in (ROOT / "p2pgan").rglob("*.py")]
    named = {name for text in program for name in re.findall(r"\bTrouble\.([A-Z_]+)", text)}
    assert named == {trouble.name for trouble in Trouble}


def test_the_anchor_of_every_trouble_is_seen_in_a_test() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    unseen = {t.name for t in Trouble if f"#{t}" not in tests and f"Trouble.{t.name}" not in tests}
    assert unseen == set()


def _text(node: ast.JoinedStr | ast.Constant) -> str:
    """A string of the program with a gap for each value in it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(p.value) if isinstance(p, ast.Constant) else GAP for p in node.values)
