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


def _colours(theme: str) -> dict[str, str]:
    """The named colours of the light or the dark page; what dark does not name is as in light."""
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    named = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", light))
    return named if theme == "light" else named | dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", dark))


def _luminance(colour: str) -> float:
    """As WCAG 2.1 has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("shown", "least"),
    [
        (("ink", "soft", "accent", "good", "warn", "bad", "calm"), 4.5),
        (("g", "d", "real", "fake", "speed", "round", *(f"peer-{n}" for n in range(1, 7))), 3.0),
    ],
    ids=["texts", "curves"],
)
def test_what_is_shown_stands_out(theme: str, shown: tuple[str, ...], least: float) -> None:
    colours = _colours(theme)
    for name in shown:
        for ground in ("--card", "--ground"):
            light, dark = sorted((_luminance(colours[f"--{name}"]), _luminance(colours[ground])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= least, f"{name} on {ground}"
