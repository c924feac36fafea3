"""A real browser, a live run of three peers, and the dashboard that shows it.

Skipped where there is no playwright or no chromium: `pip install playwright`, `apt install chromium`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from p2pgan.dashboard.server import Dashboard
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.server import running_postgres
from tests.integration.run.swarm import Swarm

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 120_000
"""The machine may be busy; a page that works is there in a second."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, or the one that ``P2PGAN_CHROMIUM`` names.

    It ends with the file of tests: while playwright is at work, an event loop runs in pytest's own thread,
    where no other test could start one.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program = os.environ.get("P2PGAN_CHROMIUM") or next(filter(None, found), None)
    if program is None:
        pytest.skip("there is no chromium on this machine (Debian: apt install chromium)")
    with playwright.sync_playwright() as started:
        # As root, in a container, chromium has no sandbox of its own.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = started.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


@dataclass
class Watched:
    """A page, and what must not happen on it."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        def requested(url: str) -> None:
            if (
                urlsplit(url).scheme not in ("data", "blob")
                and urlsplit(url).netloc != urlsplit(self.address).netloc
            ):
                self.strangers.append(url)

        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("request", lambda request: requested(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None,
        )

    def open(self, path: str = "") -> Page:
        self.page.goto(self.address + path)
        return self.page


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server for the tests of a file, which may stop it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def swarm(
    browser: Browser, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Swarm]:
    """Three peers that train; the browser is asked first, so that nothing is trained for a skip."""
    with Swarm(tmp_path_factory.mktemp("live"), postgres.dsn, "live") as live:
        live.create({"sample_every": 2, "score_every": 3})
        live.start("one", "two", "three")
        live.together("one", "two", "three")
        yield live


@pytest.fixture
def watched(browser: Browser, postgres: EmbeddedPostgres) -> Iterator[Watched]:
    """A fresh page on the dashboard; in the end nothing went wrong on it and nobody else was asked."""
    with Dashboard(postgres.dsn, port=0) as shown, ExitStack() as stack:
        context = browser.new_context(viewport={"width": 1300, "height": 1000})
        stack.callback(context.close)
        page = Watched(context.new_page(), shown.url)
        yield page
        assert page.errors == []
        assert page.strangers == []
