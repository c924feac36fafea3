"""The documentation as a site: it builds without a warning, has every page, and asks no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CONFIG = DOCS / "site" / "mkdocs.yml"
FETCHES = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(folder)]
    built = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stderr[-4000:]
    return folder


class _Fetched(HTMLParser):
    """What a browser fetches by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.classes.update(said.get("class", "").split())
        if tag in FETCHES and not (tag == "link" and said.get("rel") == "canonical"):
            self.addresses.append(said.get(FETCHES[tag], ""))


def _pages(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for item in nav:
            yield from _pages(item)
    elif isinstance(nav, dict):
        for item in nav.values():
            yield from _pages(item)


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        seen = _Fetched()
        seen.feed(page.read_text(encoding="utf-8"))
        assert [a for a in seen.addresses if re.match(r"(?:\w+:)?//", a)] == [], page.name
        assert "mermaid" not in seen.classes  # the theme would fetch its program from elsewhere
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert re.findall(r"(?:url\(|@import\s*)[\"']?(?:\w+:)?//[^)\"']*", text) == [], style.name


def test_every_page_is_in_the_navigation() -> None:
    # The list stands at the end; what is before it has a tag that only mkdocs knows.
    nav = yaml.safe_load(CONFIG.read_text(encoding="utf-8").partition("\nnav:\n")[2])
    decisions = {str(path.relative_to(DOCS)) for path in DOCS.glob("decisions/0*.md")}
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - decisions
    assert pages == set(_pages(nav)), "docs/site/mkdocs.yml lists all pages under nav"


def test_the_quick_start_says_what_is_in_every_other_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"^\|.*$", text, re.MULTILINE))
    named = {link for row in linked for link in re.findall(r"\]\(([\w/.]+\.md)\)", row)}
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert pages - named - {"index.md"} == {f"decisions/{path.name}" for path in DOCS.glob("decisions/0*.md")}


def test_every_decision_is_in_their_list() -> None:
    text = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", text, re.MULTILINE)
    records = sorted(DOCS.glob("decisions/0*.md"))
    assert [(f"# {title}", name) for title, name in listed] == [
        (path.read_text(encoding="utf-8").partition("\n")[0], path.name) for path in records
    ]


def test_the_python_page_has_all_that_the_package_offers(site: Path) -> None:
    import p2pgan

    text = (site / "api.html").read_text(encoding="utf-8")
    headings = re.findall(r'<h[34] id="([\w.]+)"', text)
    assert {name.rpartition(".")[2] for name in headings} >= set(p2pgan.__all__)
    assert "RendezvousUnavailable" in text
