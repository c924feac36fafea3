"""What the documents say about the code exists: names, files, links."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from p2pgan.protocol.config import ProtocolConfig

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
ABOUT_CODE = [ROOT / "docs" / name for name in ("journeys.md", "states.md", "architecture.md")]
ABOUT_CODE += sorted((ROOT / "docs" / "decisions").glob("*.md"))
NAME = re.compile(r"`([A-Z]\w*[a-z]\w*(?:\.\w+)?|[a-z]+(?:_[a-z]+)+|[A-Z]+_[A-Z_]+)(?:\(\))?`")
"""Classes and their members, names with underscores, constants."""


@pytest.fixture(scope="module")
def known() -> set[str]:
    names = set[str]()
    for path in (ROOT / "p2pgan").rglob("*.py"):
        names.update(_names(ast.parse(path.read_text(encoding="utf-8"))))
    for path in (ROOT / "p2pgan" / "rendezvous").rglob("*.sql"):
        names.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return names


def _names(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            for member in _members(node):
                yield member
                yield f"{node.name}.{member}"
        elif isinstance(node, ast.Name | ast.arg):
            yield node.id if isinstance(node, ast.Name) else node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _members(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            yield item.name
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield item.target.id
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
            yield part.attr


@pytest.mark.parametrize("page", ABOUT_CODE, ids=lambda page: page.name)
def test_names_in_the_text_are_names_in_the_code(page: Path, known: set[str]) -> None:
    assert sorted(set(NAME.findall(page.read_text(encoding="utf-8"))) - known) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = re.findall(r"`((?:p2pgan|scripts|bootstrap|tests|docs)/[\w./-]*)`", text)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in link]
    missing = [name for name in files if not (ROOT / name).exists()]
    missing += [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_python_in_the_text_takes_from_the_package_what_is_there(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for node in [node for block in blocks for node in ast.walk(ast.parse(block))]:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "p2pgan":
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_fixed_times_are_those_of_the_protocol() -> None:
    page = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    defaults = {field.name: field.default for field in fields(ProtocolConfig)}
    settings = {"round_s", "mix_s", "commit_s", "ttl_s", "renew_s"}
    assert {name: float(value) for name, value in rows} == {
        name: value for name, value in defaults.items() if name.endswith("_s") and name not in settings
    }
