"""``p2pgan generate``: draw new images."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.sources import by_flag
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from p2pgan.gan.sampling import Generator

MAX_GRID = 10_000
"""Images of one grid; of 64 px it then has 6,600 px a side."""
PROGRESS_FROM = 200
"""Fewer single images are there before anybody wonders."""
GRID_SUFFIX = ".png"


def generate(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="A .png for one grid, a folder for single images.")
    ],
    rendezvous: o.OptionalRendezvous = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="A .safetensors file, in place of a DSN.")
    ] = None,
    run: o.RunName = None,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=1, help="How many images.")] = 64,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="The same seed draws the same images.")
    ] = 1,
    version: Annotated[
        int | None,
        typer.Option("--version", metavar="N", min=0, help="A stored version; left out, the last one."),
    ] = None,
    model: o.OwnNet = None,
    label: Annotated[
        int | None,
        typer.Option("--class", metavar="N", min=0, help="Of a conditional GAN: draw this class only."),
    ] = None,
    debug: o.Debug = False,
) -> None:
    """Draw new images from a run's last committed weights, or from a weights file.

    The same seed and version give the same bytes on the same machine.

    Example: p2pgan generate --rendezvous postgresql://me:secret@db.example.org/gan -n 64 --out faces.png
    """
    is_grid = _is_grid(out)
    if is_grid and number > MAX_GRID:
        raise ConfigError(
            f"a grid shows at most {MAX_GRID:,} images: draw fewer, or give --out a folder for single images"
        )
    if model is not None:
        from p2pgan.gan.own import use_own_net

        use_own_net(model)
    if weights is not None:
        # What the environment says is for other commands as well.
        _refuse_beside_weights({f"--{name}": by_flag(context, name) for name in ("rendezvous", "run")})
        if version is not None:
            raise ConfigError("a weights file has one version only; leave --version out")
        drawn = _from_file(weights)
    elif rendezvous is not None:
        drawn = _from_run(rendezvous, run, version)
    else:
        raise ConfigError("say whose weights to draw from: --rendezvous DSN or --weights FILE")
    if is_grid:
        from p2pgan.gan.sampling import write_grid

        write_grid(drawn.generator.sample(number, seed, label), out)
    else:
        _write_single(drawn.generator, number, seed, label, out)
    typer.echo(f"{out}: {printable(drawn.origin)}" if drawn.origin else str(out))


def _is_grid(out: Path) -> bool:
    """Whether ``out`` is a file for a grid. Raises ConfigError if it looks like another kind of file."""
    from p2pgan.gan.decode import SUFFIXES

    suffix = out.suffix.lower()
    if suffix == GRID_SUFFIX:
        return True
    if suffix in (*SUFFIXES, ".pdf", ".svg", ".safetensors") and not out.is_dir():
        raise ConfigError(
            f"--out {out} is no PNG: write {out.with_suffix(GRID_SUFFIX)} for one grid, "
            "or the name of a folder for single images"
        )
    return False


def _refuse_beside_weights(said: dict[str, bool]) -> None:
    for flag, is_said in said.items():
        if is_said:
            raise ConfigError(f"{flag} and --weights both say whose weights to draw from; leave one out")


@dataclass(frozen=True)
class _Drawn:
    """What to draw from."""

    generator: Generator
    origin: str
    """Version, run and images, for people; empty if a weights file does not tell."""


def _from_file(path: Path) -> _Drawn:
    from p2pgan.gan.sampling import Generator
    from p2pgan.gan.weights import load_generator

    file = load_generator(path)
    told = file.facts.keys() >= {"version", "run", "images"}  # by p2pgan export, as words
    origin = "version {version} of {run}, {images} images".format_map(file.facts) if told else ""
    return _Drawn(Generator(file.config, file.vector), origin)


def _from_run(rendezvous: str, run: str | None, version: int | None) -> _Drawn:
    from p2pgan.gan.sampling import Generator
    from p2pgan.peer.stored import read_generator

    stored = read_generator(rendezvous, run, version)
    origin = f"version {stored.version} of {stored.run}, {stored.images:,} images"
    if stored.version == 0:
        origin += ": nothing has been learned yet"
    return _Drawn(Generator(stored.config, stored.ema), origin)


def _write_single(generator: Generator, number: int, seed: int, label: int | None, folder: Path) -> None:
    """Draws and writes a few images at once, however many they are, and shows how far it is on a terminal."""
    from rich.console import Console
    from rich.progress import track

    from p2pgan.gan.sampling import write_images

    paths = write_images(generator.batches(number, seed, label), folder, number)
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    for _ in track(
        paths,
        "drawing",
        number,
        console=Console(stderr=True),
        transient=True,
        disable=not on_terminal or number < PROGRESS_FROM,
    ):
        pass
