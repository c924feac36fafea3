"""The page's files: nothing inline, nothing from elsewhere, no markup made from data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pgan.dashboard.app import STATIC

OURS = [path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]
SCRIPTS = [path for path in OURS if path.suffix == ".js"]


def test_the_page_has_no_script_and_no_style_of_its_own() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert files and all((STATIC / file.removeprefix("/static/")).is_file() for file in files)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_address_of_another_machine_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]+\.[a-z]+|@import|url\(", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup_and_run_no_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", text)
    imports = re.findall(r'from "([^"]+)"', text)
    assert all((path.parent / name).is_file() for name in imports)


def test_what_others_wrote_comes_with_its_licence() -> None:
    assert "MIT" in (STATIC / "vendor" / "uplot" / "LICENSE").read_text(encoding="utf-8")
