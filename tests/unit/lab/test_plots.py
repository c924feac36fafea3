from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.lab.plots import UnitPoint, draw_losses, picture


@pytest.mark.parametrize("peers", [1, 5, 24])
def test_the_legends_lie_beside_the_curves_and_within_the_picture(peers: int) -> None:
    points = [UnitPoint(seconds, 1.0, 0.5, 0.7, 0.3) for seconds in range(0, 60, 10)]
    figure = picture({f"peer-{number}": points for number in range(peers)})
    figure.draw_without_rendering()
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        place = legend.get_window_extent()
        assert place.x0 >= axes.bbox.x1
        assert place.x1 <= figure.bbox.x1 and place.y0 >= 0
        assert axes.bbox.width > figure.bbox.width / 3


def test_it_is_written_as_png(tmp_path: Path) -> None:
    draw_losses({"peer-1": [UnitPoint(1.0, 1.0, 0.5, 0.7, 0.3)]}, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
