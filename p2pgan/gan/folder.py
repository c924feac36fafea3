"""What a training in one process leaves in its folder, kept up to date while it goes on."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.output import UNFINISHED, append_whole, check_folder, not_written, write_whole
from p2pgan.gan.sampling import Generator, grid_png
from p2pgan.gan.units import UnitStats
from p2pgan.gan.weights import save_generator

GRID_IMAGES = 64
WEIGHTS = "generator.safetensors"
LOSSES = "losses.csv"
GRIDS = "samples-*.png"


class TrainingFolder:
    """A folder for weights, sample grids and a table of losses.

    Nothing is written before there is something to keep; until then a folder that does not exist is
    not made, and what an earlier training left is not touched.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        """Raises ConfigError if it cannot be written, or holds a training and is not to be overwritten."""
        self.path = path
        self.weights = path / WEIGHTS
        self.losses = path / LOSSES
        self._begun = False
        check_folder(path)
        if self._leftovers() and not overwrite:
            raise ConfigError(
                f"{path} holds an earlier training; choose another --out, or replace it with --overwrite"
            )

    def record(self, stats: UnitStats, seen: int) -> None:
        """Adds a unit's line to the table. The first one takes the place of an earlier training's files.

        ``seen``: images trained on so far. Raises ConfigError if it cannot be written, P2pganError if the
        disk is full; so do the others.
        """
        row = {"images_seen": seen, **asdict(stats)}
        text = io.StringIO()
        table = csv.DictWriter(text, row, lineterminator="\n")
        try:
            if not self._begun:
                self.path.mkdir(parents=True, exist_ok=True)
                for file in self._leftovers():
                    file.unlink()
                table.writeheader()
                self._begun = True
            table.writerow(row)
            append_whole(self.losses, text.getvalue().encode())
        except OSError as error:
            raise not_written(self.losses, error) from error

    def save_weights(self, config: GanConfig, ema: Tensor, seen: int) -> None:
        """Puts the averaged generator in place of the last one. Raises ConfigError."""
        save_generator(self.weights, config, ema, {"images": str(seen)})

    def save_grid(self, config: GanConfig, ema: Tensor, seen: int) -> Path:
        """Draws and writes a sample grid, and returns its path. Raises ConfigError."""
        path = self.path / GRIDS.replace("*", f"{seen:09d}")
        write_whole(path, grid_png(Generator(config, ema).sample(GRID_IMAGES)))
        return path

    def _leftovers(self) -> list[Path]:
        """Files of an earlier training, those that a crash left unfinished included."""
        names = (WEIGHTS, LOSSES, GRIDS)
        return [
            file for name in names for end in ("", f".*{UNFINISHED}") for file in self.path.glob(name + end)
        ]
