"""``p2pgan export``: the generator as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.drawn import Version, version_of
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import printable

SUFFIX = ".safetensors"


def export(
    rendezvous: o.Rendezvous,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The .safetensors file to write.")],
    run: o.RunName = None,
    version: Version = None,
    model: o.OwnNet = None,
    debug: o.Debug = False,
) -> None:
    """Write the averaged generator as a safetensors file, with its configuration in the metadata.

    Example: p2pgan export --rendezvous postgresql://me:secret@db.example.org/gan --out faces.safetensors
    """
    if out.suffix.lower() not in ("", SUFFIX):
        raise ConfigError(
            f"--out {out} is not the name of a weights file: write {out.with_suffix(SUFFIX)}, "
            "and draw images with p2pgan generate"
        )
    from p2pgan.gan.own import use_own_net
    from p2pgan.gan.weights import save_generator
    from p2pgan.peer.stored import read_generator

    if model is not None:
        use_own_net(model)
    stored = read_generator(rendezvous, run, version_of(version))
    facts = {
        "run": stored.run,
        "version": str(stored.version),
        "digest": stored.digest,
        "images": str(stored.images),
    }
    save_generator(out, stored.config, stored.ema, facts)
    typer.echo(f"{out}: version {stored.version} of {printable(stored.run)}, {stored.images:,} images")
