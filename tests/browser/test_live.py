"""What somebody sees who looks at a live run: in a real browser, with real peers."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import psycopg
import pytest

from p2pgan.rendezvous import EmbeddedPostgres
from tests.browser.conftest import Watched
from tests.contract.rendezvous.scenes import registration
from tests.integration.run.swarm import Swarm

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.timeout(600)  # bounds a hang; a slow machine is no failure
HOSTILE = "<img src=x onerror=\"document.title='hacked'\"> <b>peer</b>"


def row(page: Page, name: str) -> Locator:
    return page.locator("table.peers tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


def test_a_run_is_seen_whole(watched: Watched, swarm: Swarm) -> None:
    page = watched.open()
    page.wait_for_url("**/?run=*")  # the only run there is
    page.wait_for_selector(".pulse[data-state='live']")
    for name in ("one", "two", "three"):
        row(page, name).locator(".state.active").wait_for()
    leader = swarm.leader()
    assert leader is not None
    row(page, leader.name).locator(".pen:not(.absent)").wait_for()
    assert page.locator("table.peers .pen:not(.absent)").count() == 1
    for name in ("one", "two", "three"):
        row(page, name).locator("td[data-label='Reached']", has_text="yes").wait_for()
    page.locator("td[data-label='In hand']", has_text="span").first.wait_for()
    page.locator("table.peers .hint", has_text="next").wait_for()
    page.locator("img.faces:not([hidden])").wait_for()
    page.locator(".uplot canvas").nth(3).wait_for()
    page.locator(".cell.done").first.wait_for()
    page.locator(".events li.mark").first.wait_for()
    assert "G " in page.locator("figure .legend").first.inner_text()


def test_score_bytes_and_health_are_tiles_and_curves_with_their_meaning(
    watched: Watched, swarm: Swarm
) -> None:
    page = watched.open()
    page.locator(".tile", has_text="Score (FID)").wait_for()
    page.locator(".tile", has_text=re.compile(r"Bytes per round\d+(\.\d)? kB")).wait_for()
    for title in (
        "Score",
        "Bytes per round",
        "Mean sign of D",
        "R1",
        "Gradients",
        "Diversity",
        "Cosine",
        "Drift",
    ):
        figure = page.locator(f"figure[aria-label^='{title}:']")
        figure.locator("canvas").wait_for()
        figure.locator(".legend", has_text=re.compile(r"\d")).wait_for()
        assert len(figure.locator(".about").inner_text()) > 40
    row(page, "two").locator("td[data-label='Bytes per round']", has_text="out").wait_for()
    page.locator(".peers-drawn button", has_text="two").click()
    page.locator("figure[aria-label^='Drift:'][data-lines='2']").wait_for()
    page.locator("figure[aria-label^='Bytes per round:'][data-lines='4']").wait_for()
    assert page.locator("figure[aria-label^='Score:']").get_attribute("data-lines") == "2", "nobody's own"


def test_the_slider_changes_the_picture_and_keys_move_it(watched: Watched, swarm: Swarm) -> None:
    swarm.grow(4)
    page = watched.open()
    picture, slider = page.locator("img.faces:not([hidden])"), page.locator("input[type=range]:enabled")
    slider.wait_for()
    picture.wait_for()
    newest = int(picture.get_attribute("data-version") or 0)
    slider.focus()
    page.keyboard.press("Home")
    first = picture.get_attribute("data-version")
    assert int(first or 0) < newest
    page.wait_for_function("() => document.querySelector('img.faces').complete")
    assert page.evaluate("document.querySelector('img.faces').naturalWidth") > 64
    page.keyboard.press("ArrowRight")
    assert picture.get_attribute("data-version") != first
    page.get_by_role("button", name="Follow the newest version").click()
    assert int(picture.get_attribute("data-version") or 0) >= newest


def test_a_closer_look_at_curves_asks_for_that_part(watched: Watched, swarm: Swarm) -> None:
    swarm.grow(3)
    page = watched.open()
    canvas = page.locator(".u-over").first
    canvas.wait_for()
    page.wait_for_function("() => document.querySelector('.legend').textContent.includes('G ')")
    with page.expect_request(lambda request: "/curves" in request.url and "peer=" in request.url):
        page.locator(".peers-drawn button", has_text="two").click()
    page.locator(".peers-drawn button[aria-pressed=true]", has_text="two").wait_for()
    page.locator("figure[data-lines='4']").first.wait_for()
    box = canvas.bounding_box()
    assert box is not None
    with page.expect_request(lambda request: "/curves" in request.url and "last=" in request.url):
        page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 40, steps=5)
        page.mouse.up()
    page.get_by_role("button", name="Whole run").click()


def test_a_curve_is_read_and_zoomed_by_keys_alone(watched: Watched, swarm: Swarm) -> None:
    swarm.grow(3)
    page = watched.open()
    plot = page.locator("figure[aria-label^='Losses:'] .plot")
    plot.locator("canvas").wait_for()
    plot.focus()
    page.keyboard.press("Home")
    page.locator(".pointed", has_text=re.compile(r"^version 1\b")).wait_for()
    for _ in range(2):  # drawn anew in between, at least once
        with page.expect_response(lambda response: "/curves" in response.url):
            swarm.grow(1)
    page.locator(".pointed", has_text=re.compile(r"^version 1\b")).wait_for()
    page.keyboard.press("ArrowRight")
    page.locator(".pointed", has_text=re.compile(r"^version 2\b")).wait_for()
    with page.expect_request(lambda request: "/curves" in request.url and "last=" in request.url):
        page.keyboard.press("+")
    page.get_by_text(re.compile(r"^versions \d+ to \d+$")).wait_for()
    page.keyboard.press("Escape")
    page.locator("button[aria-pressed=true]", has_text="Whole run").wait_for()


def test_a_hostile_name_is_text_everywhere(watched: Watched, swarm: Swarm) -> None:
    swarm.database.register_peer(swarm.run_id, registration("K" * 40, name=HOSTILE))
    swarm.database.write_event(swarm.run_id, "K" * 40, "<i>kind</i>", HOSTILE)
    page = watched.open()
    page.get_by_role("link", name=HOSTILE, exact=True).first.wait_for()
    page.locator(".events .text", has_text=HOSTILE).first.wait_for()
    row(page, HOSTILE).get_by_role("link").click()
    page.get_by_role("heading", name=HOSTILE).wait_for()
    assert page.locator("main img[src=x], main b b, main i i").count() == 0
    assert page.title() != "hacked"
    swarm.database.set_peer_state(swarm.run_id, "K" * 40, "left")


def test_who_is_set_aside_and_who_offends_is_seen(watched: Watched, swarm: Swarm) -> None:
    mallory, reason = "M" * 40, "rejected 3 times in a row"
    swarm.database.register_peer(swarm.run_id, registration(mallory, name="mallory"))
    with psycopg.connect(swarm.dsn) as admin:
        admin.execute(
            "update p2pgan.peers set set_aside = %s, offences = 65 where id = %s and run_id = %s",
            (reason, mallory, swarm.run_id),
        )
    page = watched.open()
    line = row(page, "mallory")
    line.locator(".state.set-aside", has_text="set aside").wait_for()
    line.get_by_text(f"{reason}; 65 offences").wait_for()
    line.get_by_role("link").click()
    page.get_by_text(f"65; {reason}").wait_for()
    swarm.database.set_peer_state(swarm.run_id, mallory, "left")


def test_a_peer_has_its_own_page(watched: Watched, swarm: Swarm) -> None:
    page = watched.open()
    row(page, "two").get_by_role("link").click()
    page.get_by_role("heading", name="two", exact=True).wait_for()
    page.locator(".legend", has_text="two").first.wait_for()
    page.locator("figure[aria-label^='Drift:'] .legend", has_text="two").wait_for()
    page.locator(".tile", has_text="Bytes per round").get_by_text("out").wait_for()
    page.locator(".tile", has_text="with it").wait_for()


def test_a_phone_needs_no_sideways_scrolling_and_dark_is_dark(watched: Watched, swarm: Swarm) -> None:
    watched.page.set_viewport_size({"width": 360, "height": 740})
    watched.page.emulate_media(color_scheme="dark")
    page = watched.open()
    page.locator(".uplot canvas").nth(3).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 18, 23)"


def test_the_pen_moves_when_the_leader_is_killed(watched: Watched, swarm: Swarm) -> None:
    page = watched.open()
    leader = swarm.leader()
    assert leader is not None
    row(page, leader.name).locator(".pen:not(.absent)").wait_for()
    leader.expected_end = True
    leader.send(signal.SIGKILL)
    for name in {"one", "two", "three"} - {leader.name}:
        row(page, name).wait_for()
    page.wait_for_function(
        "name => [...document.querySelectorAll('table.peers tr.leads a')].some(a => a.textContent !== name)",
        arg=leader.name,
    )
    row(page, leader.name).locator(".state.lost, .state.silent").wait_for()
    page.locator(".events .badge", has_text="pen").first.wait_for()


def test_a_restart_of_the_database_mends_by_itself(
    watched: Watched, swarm: Swarm, postgres: EmbeddedPostgres
) -> None:
    page = watched.open()
    page.wait_for_selector(".pulse[data-state='live']")
    version = page.locator(".tile dd").first.inner_text()
    postgres.crash()
    page.wait_for_selector(".pulse[data-state='away']")
    postgres.start()
    page.wait_for_selector(".pulse[data-state='live']")
    page.wait_for_function(
        "version => document.querySelector('.tile dd').textContent !== version", arg=version
    )
    # The browser itself notes answers of 503; nothing else may have gone wrong.
    watched.errors = [error for error in watched.errors if "503" not in error]
