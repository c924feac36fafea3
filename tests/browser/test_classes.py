"""One class alone of a conditional run: chosen in a real browser, without new pictures from the server."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from p2pgan.gan.sampling import grid_png
from p2pgan.rendezvous import EmbeddedPostgres
from tests.browser.conftest import Watched
from tests.integration.run.swarm import Swarm

pytestmark = pytest.mark.timeout(600)  # bounds a hang; a slow machine is no failure
CLASSES, SIDE = 10, 32


@pytest.fixture
def conditional(postgres: EmbeddedPostgres, tmp_path: Path) -> Swarm:
    """A run of which somebody has drawn a grid: the images of class ``n`` are of one grey, ``20 * n``."""
    swarm = Swarm(tmp_path, postgres.dsn, "conditional")
    swarm.create({"gan": {"model": {"num_classes": CLASSES}}})
    greys = (torch.arange(64) % CLASSES * 20).to(torch.uint8)
    images = greys[:, None, None, None].expand(64, 3, SIDE, SIDE)
    swarm.database.write_sample(swarm.run_id, 0, grid_png(images))
    return swarm


def test_one_class_is_looked_at_alone(watched: Watched, conditional: Swarm) -> None:
    with conditional:
        page = watched.open()
        page.locator("img.faces:not([hidden])").wait_for()
        choice = page.get_by_label("Class of the pictures")
        assert choice.locator("option").count() == 1 + CLASSES
        choice.select_option("3")
        page.locator("canvas.faces:not([hidden])").wait_for()
        page.locator("img.faces[hidden]").wait_for(state="attached")
        greys = page.evaluate(
            """() => {
                const canvas = document.querySelector('canvas.faces');
                const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                return [...new Set(data.filter((_, i) => i % 4 === 0 && data[i + 3] > 0))];
            }"""
        )
        assert greys == [60]
        # Images 3, 13, ... 63: seven of them, three in a row.
        canvas = page.locator("canvas.faces")
        assert canvas.get_attribute("width") == canvas.get_attribute("height") == str(3 * SIDE + 4)
        assert "class 3 alone" in (canvas.get_attribute("aria-label") or "")
        choice.focus()
        page.keyboard.press("Home")  # by keyboard back to all
        page.locator("img.faces:not([hidden])").wait_for()
        page.locator("canvas.faces[hidden]").wait_for(state="attached")
