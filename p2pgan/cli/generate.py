"""``p2pgan generate``: draw new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.errors import ConfigError


def generate(
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="A .png for one grid, a folder for single images.")
    ],
    rendezvous: o.OptionalRendezvous = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="A .safetensors file, in place of a DSN.")
    ] = None,
    run: o.RunName = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed draws the same images.")] = 1,
    version: Annotated[
        int | None, typer.Option("--version", min=0, help="A stored version; left out, the last one.")
    ] = None,
    debug: o.Debug = False,
) -> None:
    """Draw new images from a run's last committed weights, or from a weights file.

    The same seed and version give the same bytes on the same machine.

    Example: p2pgan generate --rendezvous postgresql://me:secret@db.example.org/gan -n 64 --out faces.png
    """
    if weights is not None and version is not None:
        raise ConfigError("a weights file has one version only; leave --version out")
    from p2pgan import load_generator
    from p2pgan.gan.sampling import write_grid, write_images

    source = weights if weights is not None else rendezvous
    if source is None:
        raise ConfigError("say whose weights to draw from: --rendezvous DSN or --weights FILE")
    images = load_generator(source, run, version).sample(number, seed)
    if out.suffix.lower() == ".png":
        write_grid(images, out)
    else:
        write_images(images, out)
    typer.echo(str(out))
