"""Whose weights images are drawn from: those of a run, or those in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pgan.cli.sources import by_flag
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import shortened

if TYPE_CHECKING:
    from p2pgan.gan.sampling import Generator

MOST_VERSION = 2**62
Weights = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="A .safetensors file, in place of a DSN.")
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="N|best",
        help="A stored version, or the best scored; left out, the last one.",
    ),
]


def version_of(text: str | None) -> int | Literal["best"] | None:
    """What --version names. Raises ConfigError if it is no version."""
    if text is None:
        return None
    if text == "best":
        return "best"
    if not text.isascii() or not text.isdigit() or int(text) > MOST_VERSION:
        raise ConfigError(f"--version {shortened(text)} is no version; give a number, or best")
    return int(text)


@dataclass(frozen=True)
class Drawn:
    """What to draw from."""

    generator: Generator
    origin: str
    """Version, run and images, for people; empty if a weights file does not tell."""


def drawn_from(
    context: typer.Context,
    rendezvous: str | None,
    weights: Path | None,
    run: str | None,
    version: str | None,
    model: str | None,
) -> Drawn:
    """What a command's flags name. Raises ConfigError if they contradict each other, or name nothing."""
    if model is not None:
        from p2pgan.gan.own import use_own_net

        use_own_net(model)
    if weights is not None:
        # What the environment says is for other commands as well.
        _refuse_beside_weights({f"--{name}": by_flag(context, name) for name in ("rendezvous", "run")})
        if version is not None:
            raise ConfigError("a weights file has one version only; leave --version out")
        return _from_file(weights)
    if rendezvous is not None:
        return _from_run(rendezvous, run, version_of(version))
    raise ConfigError("say whose weights to draw from: --rendezvous DSN or --weights FILE")


def _refuse_beside_weights(said: dict[str, bool]) -> None:
    for flag, is_said in said.items():
        if is_said:
            raise ConfigError(f"{flag} and --weights both say whose weights to draw from; leave one out")


def _from_file(path: Path) -> Drawn:
    from p2pgan.gan.sampling import Generator
    from p2pgan.gan.weights import load_generator

    file = load_generator(path)
    told = file.facts.keys() >= {"version", "run", "images"}  # by p2pgan export, as words
    origin = "version {version} of {run}, {images} images".format_map(file.facts) if told else ""
    return Drawn(Generator(file.config, file.vector), origin)


def _from_run(rendezvous: str, run: str | None, version: int | Literal["best"] | None) -> Drawn:
    from p2pgan.gan.sampling import Generator
    from p2pgan.peer.stored import read_generator

    stored = read_generator(rendezvous, run, version)
    origin = f"version {stored.version} of {stored.run}, {stored.images:,} images"
    if stored.version == 0:
        origin += ": nothing has been learned yet"
    return Drawn(Generator(stored.config, stored.ema), origin)
