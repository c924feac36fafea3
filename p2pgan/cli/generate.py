"""``p2pgan generate``: draw new images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.bar import IMAGES_FROM, shown_progress
from p2pgan.cli.drawn import Drawing, Drawn, Version, Weights, drawn_from
from p2pgan.cli.filled import Helpers, Peers, fill_folder, helpers_of
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from torch import Tensor

    from p2pgan.gan.sampling import Generator

MAX_GRID = 10_000
"""Images of one grid; of 64 px it then has 6,600 px a side."""
MAX_ANIMATED = 20_000
"""Images in all frames of an animation together; of 64 px they then take 250 MB."""
MAX_HISTORY = 200
"""Versions that a history shows; more are thinned out."""
FRAMES_FROM = 20
WALK_MS, HISTORY_MS = 80, 500
"""How long a frame stays."""


class Show(StrEnum):
    """What the images are shown as."""

    GRID = "grid"
    IMAGES = "images"
    INTERPOLATION = "interpolation"
    CLASSES = "classes"
    WALK = "walk"
    HISTORY = "history"


_USUAL_NUMBER = {Show.GRID: 64, Show.IMAGES: 64, Show.WALK: 16, Show.HISTORY: 16}
_USUAL_FRAMES = {Show.WALK: 60, Show.INTERPOLATION: 8}
_ANIMATED = (".gif", ".webp")


@dataclass(frozen=True)
class _Wish:
    """How many images of which kind."""

    count: int
    frames: int
    """Of a walk or an interpolation."""
    seed: int
    label: int | None
    truncation: float | None


def generate(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="A .png for one picture, a .gif or .webp for an animation, a folder for single images.",
        ),
    ],
    rendezvous: o.OptionalRendezvous = None,
    weights: Weights = None,
    run: o.RunName = None,
    show: Annotated[
        Show | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="grid, interpolation or classes (.png), images (a folder), walk or history (.gif, .webp); "
            "left out, what fits --out.",
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--number",
            metavar="N",
            min=1,
            help="How many images; rows of an interpolation, columns of classes.",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            metavar="N",
            min=2,
            help="Frames of a walk (60 if left out), or steps of an interpolation (8).",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="The same seed draws the same images.")
    ] = 1,
    truncation: Annotated[
        float | None,
        typer.Option(
            "--truncation",
            metavar="X",
            help="Keep the noise within X standard deviations, such as 1.5: less variety, fewer odd images.",
        ),
    ] = None,
    version: Version = None,
    model: o.OwnNet = None,
    label: Annotated[
        int | None,
        typer.Option("--class", metavar="N", min=0, help="Of a conditional GAN: draw this class only."),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size", metavar="N", min=1, max=4096, help="Images drawn at once; may round differently."
        ),
    ] = 64,
    device: o.Device = "auto",
    peers: Annotated[
        Peers | None,
        typer.Option("--peers", help="Have the peers of the run that are here draw as well."),
    ] = None,
    bind: o.Bind = None,
    advertise: o.Advertise = None,
    port: o.Port = 0,
    debug: o.Debug = False,
) -> None:
    """Draw new images from a run's last committed weights, a weights file or a published generator.

    The same seed and version give the same bytes on the same machine. A folder of single images that was
    left unfinished is filled up: what is there is kept if it is of the same weights and seed.

    With --peers all the peers of the run draw beside this machine, which they must be able to dial, as in
    join. Should any of them die, others draw its images.

    Example: p2pgan generate --rendezvous postgresql://me:secret@db.example.org/gan -n 64 --out faces.png
    Example: p2pgan generate --rendezvous DSN -n 50000 --peers all --out single-images
    """
    kind = _kind(out, show)
    count = number or _USUAL_NUMBER.get(kind, 8)
    _check(kind, count, frames, label)
    wish = _Wish(count, frames or _USUAL_FRAMES.get(kind, 1), seed, label, truncation)
    drawing = Drawing(rendezvous, weights, run, version, model, device, batch_size)
    helpers = None
    if peers is not None:
        helpers = helpers_of(drawing, seed, kind is Show.IMAGES, bind, advertise, port)
    if kind is Show.HISTORY:
        typer.echo(f"{out}: {_write_history(drawing, wish, out)}")
        return
    drawn = drawn_from(context, drawing)
    notes = [printable(drawn.origin)]
    if kind is Show.IMAGES:
        notes.append(_fill(drawn, wish, out, helpers))
    elif kind is Show.WALK:
        _write_walk(drawn.generator, wish, out)
    else:
        _write_picture(drawn.generator, kind, wish, out)
    told = "; ".join(filter(None, notes))
    typer.echo(f"{out}: {told}" if told else str(out))


def _kind(out: Path, show: Show | None) -> Show:
    """What ``out`` is for. Raises ConfigError if it is for nothing that is known, or not for ``show``."""
    from p2pgan.gan.decode import SUFFIXES

    suffix = "" if out.is_dir() else out.suffix.lower()
    if suffix == ".png":
        fitting = [Show.GRID, Show.INTERPOLATION, Show.CLASSES]
    elif suffix in _ANIMATED:
        fitting = [Show.WALK, Show.HISTORY]
    elif suffix in (*SUFFIXES, ".mp4", ".pdf", ".svg", ".safetensors"):
        raise ConfigError(
            f"--out {out} is no PNG: write {out.with_suffix('.png')} for one grid, a .gif or .webp for an "
            "animation, or the name of a folder for single images"
        )
    else:
        fitting = [Show.IMAGES]
    if show is None:
        return fitting[0]
    if show not in fitting:
        raise ConfigError(f"--as {show} does not fit --out {out}, which can be {' or '.join(fitting)}")
    return show


def _check(kind: Show, count: int, frames: int | None, label: int | None) -> None:
    """Raises ConfigError for flags that mean nothing here, and for pictures beyond all bounds."""
    if frames is not None and kind not in _USUAL_FRAMES:
        raise ConfigError("--frames is for a walk or an interpolation; leave it out")
    if label is not None and kind is Show.CLASSES:
        raise ConfigError("--as classes shows all classes; leave --class out, or draw a grid")
    images = count * (frames or _USUAL_FRAMES.get(kind, 1))
    if kind in (Show.WALK, Show.HISTORY) and images > MAX_ANIMATED:
        raise ConfigError(f"an animation shows at most {MAX_ANIMATED:,} images: draw fewer, or fewer frames")
    if kind in (Show.GRID, Show.INTERPOLATION, Show.CLASSES) and images > MAX_GRID:
        raise ConfigError(
            f"a grid shows at most {MAX_GRID:,} images: draw fewer, or give --out a folder for single images"
        )


def _write_picture(generator: Generator, kind: Show, wish: _Wish, out: Path) -> None:
    from torch import cat

    from p2pgan.gan.sampling import write_grid

    columns: int | None = None
    images = wish.count
    if kind is Show.GRID:
        batches = generator.batches(wish.count, wish.seed, wish.label, wish.truncation)
    elif kind is Show.CLASSES:
        columns, images = wish.count, wish.count * generator.config.model.num_classes
        batches = generator.class_batches(wish.count, wish.seed, wish.truncation)
    else:
        columns, images = wish.frames, wish.count * wish.frames
        batches = _ways(generator, wish)
    write_grid(cat(list(shown_progress(batches, "drawing", images, IMAGES_FROM, len))), out, columns)


def _ways(generator: Generator, wish: _Wish) -> Iterator[Tensor]:
    """The rows of an interpolation, each from one image to another."""
    for row in range(wish.count):
        yield generator.interpolate(2 * row, 2 * row + 1, wish.frames, wish.seed, wish.label, wish.truncation)


def _write_walk(generator: Generator, wish: _Wish, out: Path) -> None:
    from p2pgan.gan.animation import write_animation

    pictures = generator.walk(wish.count, wish.frames, wish.seed, wish.label, wish.truncation)
    write_animation(shown_progress(pictures, "drawing", wish.frames, FRAMES_FROM), out, WALK_MS)


def _fill(drawn: Drawn, wish: _Wish, folder: Path, helpers: Helpers | None) -> str:
    from p2pgan.gan.order import order_of

    order = order_of(drawn.generator, wish.count, wish.seed, wish.label, wish.truncation)
    return fill_folder(drawn, order, wish.count, folder, helpers)


def _write_history(drawing: Drawing, wish: _Wish, out: Path) -> str:
    """Writes a frame for each stored version, oldest first; says which."""
    from p2pgan.cli.drawn import history_from
    from p2pgan.gan.animation import write_animation

    most = max(2, min(MAX_HISTORY, MAX_ANIMATED // wish.count))
    versions, generators = history_from(drawing, most)

    def pictures() -> Iterator[Tensor]:
        for generator in shown_progress(generators, "drawing", len(versions), FRAMES_FROM):
            yield generator.sample(wish.count, wish.seed, wish.label, wish.truncation)

    write_animation(pictures(), out, HISTORY_MS)
    return f"versions {', '.join(map(str, versions))}"
