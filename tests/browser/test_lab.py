"""A lab as a user starts it, looked at under the address that it prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCENARIO = """
name: watched
about: The leader is killed before somebody's eyes.
peers: 3
minutes: 60  # the test ends it
faults:
  - {do: kill, target: leader, at_s: 45}
config:
  gan: {model: {name: dcgan, width: 8, latent_dim: 16}, microbatch: 16}
  sync: {round_seconds: 1}
  unit_images: 128
  commit_seconds: 1
  sample_every: 2
  leadership: {rotate_every: 1000}  # the pen stays where it is until the leader is killed
"""
LEADER = "table.peers tr.leads a"
PATIENCE_MS = 600_000
"""Three peers start, and one of them is killed 45 seconds after all take part."""
INTERRUPTED = 130
END_S = 300


@pytest.fixture
def lab(browser: Browser, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The browser is asked first, so that nothing is trained for a skip."""
    scenario = tmp_path / "watched.yaml"
    scenario.write_text(SCENARIO)
    command = [
        sys.executable,
        "-m",
        "p2pgan",
        "lab",
        "--scenario",
        str(scenario),
        "--out",
        str(tmp_path / "out"),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=END_S)


@pytest.mark.timeout(1200)  # bounds a lab that hangs; a slow machine is no failure
def test_a_lab_is_seen_live_under_the_address_it_prints(browser: Browser, lab: subprocess.Popen[str]) -> None:
    assert lab.stdout is not None
    found = re.search(r"dashboard: (http://127\.0\.0\.1:\d+/)", lab.stdout.readline())
    assert found is not None
    watched = Watched(browser.new_page(), found[1])
    page = watched.open()
    page.set_default_timeout(PATIENCE_MS)

    for name in ("peer-1", "peer-2", "peer-3"):
        page.locator("table.peers tbody tr", has_text=name).locator(".state.active").wait_for()
    first = page.locator(LEADER).inner_text()
    assert page.locator("table.peers .pen:not(.absent)").count() == 1

    page.wait_for_function(
        "([leader, first]) => ![first, undefined].includes(document.querySelector(leader)?.textContent)",
        arg=[LEADER, first],
    )
    assert page.locator(LEADER).inner_text() in {"peer-1", "peer-2", "peer-3"} - {first}
    killed = page.locator("table.peers tbody tr", has_text=first)
    killed.locator(".state.lost, .state.silent").wait_for()

    picture, slider = page.locator("img.faces:not([hidden])"), page.locator("input[type=range]:enabled")
    slider.focus()
    page.keyboard.press("End")
    newest = picture.screenshot()
    page.keyboard.press("Home")
    page.wait_for_function("() => document.querySelector('img.faces').complete")
    assert picture.screenshot() != newest

    page.close()
    lab.send_signal(signal.SIGINT)
    lab.communicate(timeout=END_S)
    assert lab.returncode == INTERRUPTED
    assert watched.errors == []
    assert watched.strangers == []
