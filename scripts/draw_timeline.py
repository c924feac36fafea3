"""Draw how the samples of a lab changed: one row per chosen version, the same latents in each column.

Usage: python scripts/draw_timeline.py LAB_FOLDER --out timeline.png [--rows 8] [--columns 8]

Reads LAB_FOLDER/samples/version-*.png, the grids that a lab leaves behind.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from PIL import Image, ImageDraw

GRID = 8
"""Images in a row of a sample grid."""
MARGIN = 2
"""Pixels between the images of a grid."""
LABEL_WIDTH = 90
"""Pixels left of each row."""


def main() -> int:
    """Draw; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--columns", type=int, default=8)
    arguments = parser.parse_args()
    grids = sorted((arguments.folder / "samples").glob("version-*.png"))
    if not grids:
        print(f"no sample grids in {arguments.folder / 'samples'}; give the folder of a lab", file=sys.stderr)
        return 2
    timeline(pick(grids, arguments.rows), arguments.columns).save(arguments.out)
    return 0


def pick(grids: list[Path], rows: int) -> list[Path]:
    """``rows`` grids spread evenly over the run, the first and the last included."""
    if len(grids) <= rows:
        return grids
    return [grids[round(i * (len(grids) - 1) / (rows - 1))] for i in range(rows)]


def timeline(grids: list[Path], columns: int) -> Image.Image:
    """One row per grid: its first ``columns`` images."""
    pictures = [Image.open(path).convert("RGB") for path in grids]
    cell = pictures[0].width // GRID
    size = (LABEL_WIDTH + columns * cell, len(pictures) * cell)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for row, (path, picture) in enumerate(zip(grids, pictures, strict=True)):
        draw.text((6, row * cell + cell // 2 - 6), f"version {version_of(path)}", fill="black")
        for column in range(columns):
            left, top = column % GRID * cell, column // GRID * cell
            tile = picture.crop((left, top, left + cell + MARGIN, top + cell + MARGIN))
            canvas.paste(tile, (LABEL_WIDTH + column * cell, row * cell))
    return canvas


def version_of(path: Path) -> int:
    """The number in ``version-000123.png``."""
    found = re.search(r"(\d+)$", path.stem)
    assert found is not None
    return int(found.group())


if __name__ == "__main__":
    sys.exit(main())
