"""Whose weights images are drawn from: those of a run, those in a file, or published ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pgan.cli.sources import by_flag
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import shortened

if TYPE_CHECKING:
    from torch import Tensor

    from p2pgan.gan.config import GanConfig
    from p2pgan.gan.sampling import Generator

MOST_VERSION = 2**62
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE|hf:REPO",
        help="A .safetensors file, or hf:USER/NAME on the Hugging Face hub, in place of a DSN.",
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="N|best",
        help="A stored version, or the best scored; left out, the last one.",
    ),
]
USUAL_BATCH = 64


@dataclass(frozen=True)
class Drawing:
    """What a command's flags say about it."""

    rendezvous: str | None
    weights: Path | None
    run: str | None
    version: str | None
    model: str | None
    device: str = "auto"
    batch_size: int = USUAL_BATCH


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
    run: str | None = None
    version: int = 0
    """Of the run, if it is drawn from one."""


def drawn_from(context: typer.Context, drawing: Drawing) -> Drawn:
    """What a command's flags name. Raises ConfigError if they contradict each other, or name nothing."""
    _use_own_net(drawing)
    if drawing.weights is not None:
        # What the environment says is for other commands as well.
        _refuse_beside_weights({f"--{name}": by_flag(context, name) for name in ("rendezvous", "run")})
        if drawing.version is not None:
            raise ConfigError("a weights file has one version only; leave --version out")
        return _from_file(drawing, drawing.weights)
    if drawing.rendezvous is not None:
        return _from_run(drawing, drawing.rendezvous)
    raise ConfigError("say whose weights to draw from: --rendezvous DSN or --weights FILE")


def history_from(drawing: Drawing, most: int) -> tuple[list[int], Iterator[Generator]]:
    """The stored versions of a run, ``most`` of them, oldest first, and a generator of each."""
    from p2pgan.peer.stored import read_history

    _use_own_net(drawing)
    if drawing.rendezvous is None or drawing.weights is not None:
        raise ConfigError("a weights file has no history; say whose with --rendezvous DSN")
    if drawing.version is not None:
        raise ConfigError("a history is of all versions that are stored; leave --version out")
    stored = read_history(drawing.rendezvous, drawing.run, most)
    generators = (_generator(drawing, one.config, one.ema) for one in stored)
    return [one.version for one in stored], generators


def _use_own_net(drawing: Drawing) -> None:
    if drawing.model is not None:
        from p2pgan.gan.own import use_own_net

        use_own_net(drawing.model)


def _refuse_beside_weights(said: dict[str, bool]) -> None:
    for flag, is_said in said.items():
        if is_said:
            raise ConfigError(f"{flag} and --weights both say whose weights to draw from; leave one out")


def _from_file(drawing: Drawing, path: Path) -> Drawn:
    from p2pgan.gan.published import is_published, local_file
    from p2pgan.gan.weights import load_generator

    file = load_generator(local_file(str(path)) if is_published(str(path)) else path)
    told = file.facts.keys() >= {"version", "run", "images"}  # by p2pgan export, as words
    origin = "version {version} of {run}, {images} images".format_map(file.facts) if told else ""
    return Drawn(_generator(drawing, file.config, file.vector), origin)


def _from_run(drawing: Drawing, rendezvous: str) -> Drawn:
    from p2pgan.peer.stored import read_generator

    stored = read_generator(rendezvous, drawing.run, version_of(drawing.version))
    origin = f"version {stored.version} of {stored.run}, {stored.images:,} images"
    if stored.version == 0:
        origin += ": nothing has been learned yet"
    generator = _generator(drawing, stored.config, stored.ema)
    return Drawn(generator, origin, stored.run, stored.version)


def _generator(drawing: Drawing, config: GanConfig, vector: Tensor) -> Generator:
    from p2pgan.gan.sampling import Generator
    from p2pgan.peer.device import pick_device

    return Generator(config, vector, pick_device(drawing.device), drawing.batch_size)
