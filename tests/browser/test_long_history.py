"""200 peers and 100,000 versions in a real browser: what is sent, asked and drawn does not grow with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from p2pgan.rendezvous import EmbeddedPostgres
from scripts.measure_dashboard import write_history
from tests.browser.conftest import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

pytestmark = pytest.mark.timeout(900)  # bounds a hang; a slow machine is no failure
PEERS, VERSIONS = 200, 100_000
MOST_POINTS = 1000
MOST_ELEMENTS = 10_000
"""On the page: each peer's row has about thirty."""
Columns = dict[str, list[object]]


@pytest.fixture(scope="module")
def history(postgres: EmbeddedPostgres) -> int:
    return write_history(postgres.dsn, PEERS, VERSIONS, notes=2)


@pytest.fixture
def page(watched: Watched, history: int) -> Page:
    """The run, with everything drawn."""
    page = watched.open()
    page.wait_for_selector(".pulse[data-state='live']")
    page.locator("figure[aria-label^='Drift:'] canvas").wait_for()
    page.locator("img.faces:not([hidden])").wait_for()
    page.locator(".cell.leased").first.wait_for()
    page.locator(".events li").first.wait_for()
    assert page.locator("table.peers tbody th a").all_inner_texts() == [
        f"peer {n}" for n in range(1, PEERS + 1)
    ]
    return page


def curves(page: Page, act: Callable[[], None]) -> dict[str, Columns]:
    """What is asked for the curves after ``act``."""

    def answers(response: Response) -> bool:
        return "/curves" in response.url

    with page.expect_response(answers) as caught:
        act()
    return cast("dict[str, Columns]", caught.value.json())


def elements(page: Page) -> int:
    return cast(int, page.evaluate("document.querySelectorAll('*').length"))


def some_views(page: Page, number: int) -> None:
    """Waits until so many more views of the run were pushed."""
    page.evaluate(
        """number => new Promise((done) => {
            const run = new URLSearchParams(location.search).get('run');
            const stream = new EventSource(`/api/runs/${run}/stream`);
            stream.addEventListener('view', () => (number -= 1) || (stream.close(), done()));
        })""",
        number,
    )


def test_as_long_as_nothing_is_new_nothing_is_asked(page: Page) -> None:
    some_views(page, 2)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    some_views(page, 3)
    assert [url for url in asked if not url.endswith("/stream")] == []


def test_the_whole_run_is_few_points_and_few_elements(page: Page) -> None:
    told = curves(page, lambda: page.get_by_role("button", name="Whole run").click())
    versions = told["mean"]["version"]
    assert 400 <= len(versions) <= MOST_POINTS
    assert versions[-1] == VERSIONS
    assert len(told["scores"]["version"]) <= MOST_POINTS
    assert len(cast("list[object]", told["marks"])) <= 200
    assert page.locator("input[type=range]").get_attribute("max") in {str(n) for n in range(999, 1003)}
    assert page.locator(".events li").count() == 200
    assert elements(page) < MOST_ELEMENTS


def test_who_looks_closer_gets_single_versions_and_no_more_elements(page: Page) -> None:
    before = elements(page)
    told = curves(page, lambda: page.get_by_role("button", name="Last 100", exact=True).click())
    assert told["mean"]["version"] == list(range(VERSIONS - 100, VERSIONS + 1))
    page.locator("button[aria-pressed=true]", has_text="Last 100").wait_for()
    page.locator("h2", has_text="Events").scroll_into_view_if_needed()
    page.get_by_role("button", name="Older").click()
    page.wait_for_function("() => document.querySelectorAll('.events li').length === 400")
    assert elements(page) < before + 200 * 8


def test_the_curves_of_six_peers_are_bounded_as_well(page: Page) -> None:
    chips = page.locator(".peers-drawn button")
    assert chips.all_inner_texts()[:11] == [f"peer {number}" for number in range(1, 12)]
    for number in range(5):
        chips.nth(number).click()
    told = curves(page, lambda: page.get_by_role("button", name="peer 6", exact=True).click())
    assert page.locator(".peers-drawn button:disabled").count() == PEERS - 6
    assert 0 < len(told["peers"]["version"]) <= 6 * MOST_POINTS
    page.locator("figure[aria-label^='Losses:'][data-lines='14']").wait_for()


def test_marks_of_every_kind_are_told_where_they_are(page: Page) -> None:
    told = curves(page, lambda: page.get_by_role("button", name="Last 1,000").click())
    page.locator("button[aria-pressed=true]", has_text="Last 1,000").wait_for()
    versions = cast("list[int]", told["mean"]["version"])
    page.locator("figure[aria-label^='Losses:'] .plot").focus()
    page.keyboard.press("Home")
    at = 0
    for number, kind in enumerate(("joined", "left", "lost", "set aside", "away")):
        mark = VERSIONS - VERSIONS // 100 + VERSIONS // 500 * number
        to = next(index for index, version in enumerate(versions) if version >= mark)
        for _ in range(to - at):
            page.keyboard.press("ArrowRight")
        at = to
        page.locator(f".pointed .what[data-kind='{kind}']", has_text="peer 2").wait_for()
    page.locator(".pointed .what[data-kind='pen']").first.wait_for()
