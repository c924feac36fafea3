"""What the page shows and how one gets around on it: in a real browser, over runs that nobody trains."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from p2pgan.dashboard.server import Dashboard
from p2pgan.rendezvous import EmbeddedPostgres
from scripts.measure_dashboard import write_history
from tests.browser.conftest import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.timeout(600)  # bounds a hang; a slow machine is no failure
LONG_NAME = "w" * 64
LIGHT, DARK = "rgb(244, 243, 239)", "rgb(17, 18, 23)"
ONE_EVENT = "() => document.querySelectorAll('.events li').length === 1"
UNNAMED = """() => [...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
    .filter((each) => each.checkVisibility())
    .filter((each) => !(each.ariaLabel || each.labels?.[0]?.textContent || each.textContent).trim())
    .map((each) => each.outerHTML)"""


@pytest.fixture(scope="module")
def run(postgres: EmbeddedPostgres) -> int:
    """The newest of two runs: peer 1 leads, the pen is reserved for peer 3."""
    write_history(postgres.dsn, 2, 500)
    run = write_history(postgres.dsn, 3, 5000)
    with psycopg.connect(postgres.dsn) as admin:
        admin.execute("update p2pgan.leases set successor = 'p3' where run_id = %s", [run])
        admin.execute("update p2pgan.peers set name = %s, device = 'cuda' where id = 'p2'", [LONG_NAME])
        admin.execute("update p2pgan.peers set reached = false where id = 'p3'")
    return run


@pytest.fixture
def page(watched: Watched, run: int) -> Page:
    page = watched.open(f"?run={run}")
    page.wait_for_selector(".pulse[data-state='live']")
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("table.peers tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


def cell(page: Page, name: str, column: str) -> Locator:
    return row(page, name).locator(f"td[data-label='{column}']")


def texts(page: Page) -> list[str]:
    return page.locator(".events .text").all_inner_texts()


def test_several_runs_are_a_list_first_the_newest_on_top(watched: Watched, run: int) -> None:
    page = watched.open()
    page.locator("a.run").nth(1).wait_for()
    assert page.locator("a.run h2").all_inner_texts() == ["3 peers, 5000 versions", "2 peers, 500 versions"]
    page.locator("a.run", has_text="3 peers here").get_by_text("version 5000").wait_for()
    page.locator("a.run").last.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/?run={run - 1}")
    page.locator(".crumbs", has_text="2 peers, 500 versions").wait_for()
    page.get_by_role("link", name="runs", exact=True).click()
    page.locator("a.run").nth(1).wait_for()


def test_what_is_known_of_a_peer_is_in_its_line(page: Page) -> None:
    row(page, "peer 1").locator(".pen:not(.absent)").wait_for()
    shown = {
        name: [cell(page, name, column).inner_text() for column in ("Images/s", "Share", "In hand", "Device")]
        for name in ("peer 1", LONG_NAME, "peer 3")
    }
    assert shown == {
        "peer 1": ["10", "33 %", "1 span", "cpu"],
        LONG_NAME: ["10", "33 %", "2 spans", "cuda"],
        "peer 3": ["10", "33 %", "3 spans", "cpu"],
    }
    assert cell(page, "peer 1", "Reached").inner_text() == "yes"
    assert cell(page, "peer 3", "Reached").inner_text() == "not yet"
    assert cell(page, "peer 1", "Last sign").inner_text() == "just now"
    assert page.locator("table.peers .hint", has_text="next").all_inner_texts() == ["p3 · next"]
    assert "term 250, peer 3 is next" in page.locator(".tile", has_text="The pen").inner_text()


def test_work_is_epochs_done_and_cells(page: Page) -> None:
    page.get_by_text("2,500 epochs done; of epoch 2,500, 10 of 20 units").wait_for()
    cells = {state: page.locator(f".cells .cell.{state}").count() for state in ("done", "leased", "open")}
    assert cells == {"done": 10, "leased": 5, "open": 5}
    page.get_by_role("img", name="Epoch 2500: 10 units done, 5 handed out, 5 open").wait_for()


def test_events_are_found_by_word_kind_and_who_came_and_went(page: Page) -> None:
    page.locator(".events li").first.wait_for()
    page.get_by_label("Find words in events").fill("set ASIDE: why")
    page.wait_for_function(ONE_EVENT)
    assert texts(page) == [f"{LONG_NAME} was set aside: why"]
    page.get_by_label("Find words in events").fill("nobody said this")
    page.get_by_text("Nothing like that happened.").wait_for()
    page.get_by_label("Find words in events").fill("")
    page.get_by_label("Kind of event").select_option("away")
    page.wait_for_function(ONE_EVENT)
    assert texts(page) == [f"{LONG_NAME} did not reach the database"]
    page.get_by_label("Kind of event").select_option("")
    page.get_by_label("only who came, went and led").check()
    page.locator(".events .text", has_text="holds the pen of term 251").wait_for()
    assert page.locator(".events li:not(.mark)").count() == 0


def test_everything_that_can_be_reached_has_a_name_and_the_content_is_one_key_away(page: Page) -> None:
    page.locator(".uplot canvas").nth(3).wait_for()
    page.locator(".events li").first.wait_for()
    assert page.evaluate(UNNAMED) == []
    page.evaluate("document.body.focus()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    row(page, "peer 3").get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="peer 3").wait_for()
    assert page.evaluate(UNNAMED) == []


@pytest.mark.parametrize("path", ["?all=1", "?run={run}", "?run={run}&peer=p2", "?run=999999"])
def test_a_phone_needs_no_sideways_scrolling(watched: Watched, run: int, path: str) -> None:
    watched.page.set_viewport_size({"width": 360, "height": 740})
    page = watched.open(path.format(run=run))
    page.locator("a.run, .uplot canvas, .notice").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_light_and_dark_are_as_the_system_has_it_also_while_the_page_is_open(page: Page) -> None:
    stroke = "() => document.querySelector('.legend i').style.background"
    ground = "getComputedStyle(document.body).backgroundColor"
    page.locator(".legend i").first.wait_for()
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{stroke} === 'rgb(106, 79, 224)'")
    assert page.evaluate(ground) == LIGHT
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{stroke} === 'rgb(167, 155, 255)'")  # the curves are drawn anew
    assert page.evaluate(ground) == DARK


def test_beyond_this_machine_the_token_lets_in_and_goes_out_of_sight(
    browser: Browser, postgres: EmbeddedPostgres, run: int
) -> None:
    with Dashboard(postgres.dsn, host="0.0.0.0", port=0) as shown:
        address, _, token = shown.url.partition("?")
        page = browser.new_page()
        refused = page.goto(address)
        assert refused is not None and refused.status == 401
        page.goto(f"{address}?run={run}&{token}")
        page.wait_for_selector(".pulse[data-state='live']")
        page.locator(".uplot canvas").first.wait_for()
        assert re.fullmatch(r"http://[^/]+/\?run=\d+", page.url)
        page.close()
