"""A folder of single images, filled by this machine alone or together with the peers of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

import typer

from p2pgan.cli.bar import IMAGES_FROM, shown_progress
from p2pgan.cli.drawn import Drawing, Drawn
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from p2pgan.gan.order import Draw, Order
    from p2pgan.peer.orderer import Orderer
    from p2pgan.rendezvous import Rendezvous, RunRow

MOST_SEED = 2**62
MOST_HOST = 48
"""Letters of this machine's name in that of its orders."""


class Peers(StrEnum):
    """Who draws besides this machine."""

    ALL = "all"


@dataclass(frozen=True)
class Helpers:
    """Whose peers draw as well, and where this machine listens for their images."""

    rendezvous: str
    bind: str | None
    advertise: str | None
    port: int


def helpers_of(
    drawing: Drawing, seed: int, folder: bool, bind: str | None, advertise: str | None, port: int
) -> Helpers:
    """What ``--peers`` says. Raises ConfigError where peers cannot draw."""
    from p2pgan.protocol.messages import MOST_IMAGES

    if drawing.rendezvous is None or drawing.weights is not None:
        raise ConfigError("--peers has a run's peers draw: say which with --rendezvous DSN")
    if not folder:
        raise ConfigError("--peers is for single images: give --out a folder")
    if drawing.batch_size > MOST_IMAGES:
        raise ConfigError(f"peers draw at most {MOST_IMAGES} images at once: leave --batch-size out")
    if seed > MOST_SEED:
        raise ConfigError(f"--seed {seed} is more than peers take; give a number up to {MOST_SEED}")
    return Helpers(drawing.rendezvous, bind, advertise, port)


def fill_folder(drawn: Drawn, order: Order, count: int, folder: Path, helpers: Helpers | None) -> str:
    """Has the images drawn that are not there, and writes them; what there is to say of it."""
    from p2pgan.gan.order import fill, missing

    indices = missing(folder, order, count)
    notes = [f"{count - len(indices):,} of {count:,} images were there"] if len(indices) < count else []
    with _drawing(drawn, order, helpers if indices else None, notes) as draw:
        paths = fill(folder, order, drawn.generator.batch_size, indices, drawn.origin, draw)
        for _ in shown_progress(paths, "drawing", len(indices), IMAGES_FROM):
            pass
    return "; ".join(notes)


@contextmanager
def _drawing(drawn: Drawn, order: Order, helpers: Helpers | None, notes: list[str]) -> Iterator[Draw]:
    """What draws within the block; in the end ``notes`` say who drew, if peers were asked."""
    from p2pgan.gan.order import drawn_here

    if helpers is None:
        yield drawn_here(drawn.generator, order)
        return
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(helpers.rendezvous) as rendezvous:
        run = rendezvous.find_run(drawn.run)
        if run.state == "finished":
            _tell("the run has finished, no peer is left: this machine draws all")
            yield drawn_here(drawn.generator, order)
            return
        with _ordered(rendezvous, run, drawn, order, helpers) as orderer:
            yield orderer.draw
            notes.append(_who_drew(orderer))


@contextmanager
def _ordered(
    rendezvous: Rendezvous, run: RunRow, drawn: Drawn, order: Order, helpers: Helpers
) -> Iterator[Orderer]:
    """Who has the peers draw within the block."""
    from p2pgan.peer.answering import pixel_bytes
    from p2pgan.peer.options import JoinOptions
    from p2pgan.peer.orderer import Orderer, Wanted
    from p2pgan.peer.presence import presence

    options = JoinOptions(
        rendezvous=helpers.rendezvous,
        name=f"{gethostname()[:MOST_HOST]}-orders",
        bind=helpers.bind,
        advertise=helpers.advertise,
        port=helpers.port,
    )
    generator = drawn.generator
    longest = pixel_bytes(generator.batch_size, generator.config.model.resolution)
    wanted = Wanted(drawn.version, order.seed, order.label, order.truncation)
    with presence(rendezvous, run, options, longest, _tell) as present:
        orderer = Orderer(present, generator, wanted, _tell)
        try:
            yield orderer
        finally:
            orderer.end()


def _tell(text: str) -> None:
    typer.echo(printable(text), err=True)


def _who_drew(orderer: Orderer) -> str:
    """How many batches are whose."""
    drawn = orderer.drawn
    names = {peer: orderer.names[peer] for peer in drawn if peer is not None}
    peers = [f"{name} {drawn[peer]:,}" for peer, name in sorted(names.items(), key=lambda pair: pair[1])]
    return printable(", ".join([f"batches drawn: this machine {drawn[None]:,}", *peers]))
