"""Weights as the rendezvous keeps them, for those who draw from a run without taking part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from p2pgan.averaging.flatten import layout_of
from p2pgan.errors import WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import build
from p2pgan.peer.config import RunConfig, stored_config
from p2pgan.peer.outer import outer_of
from p2pgan.peer.snapshot import decode_snapshot
from p2pgan.protocol.ids import SnapshotManifest
from p2pgan.rendezvous import Rendezvous, RunRow, ScoreRow, open_rendezvous

log = logging.getLogger(__name__)

Decoder = Callable[[SnapshotManifest, bytes], tuple[Tensor, Tensor, Tensor]]
"""From a snapshot's bytes to weights, averaged generator and the outer optimizer's state."""


@dataclass(frozen=True)
class StoredGenerator:
    """The averaged generator of one committed version."""

    run: str
    version: int
    digest: str
    images: int
    config: GanConfig
    ema: Tensor
    """Its parameters, flat: float32 of shape (P_G,)."""


@dataclass(frozen=True)
class RunFacts:
    """What is told about a run's weights where they are given away."""

    dataset: str
    """Its specification, as the run was started with; may be a path of that machine."""
    peers: int
    """That contributed up to the version."""
    score: ScoreRow | None
    """Of the version, or of the newest one before it that was scored while the run trained."""


def read_generator(
    place: str, run: str | None = None, version: int | Literal["best"] | None = None
) -> StoredGenerator:
    """The averaged generator of ``version``, or of the last commit, of the run at ``place``.

    ``best`` is the version with the best score, see :mod:`p2pgan.peer.scoring`.

    Raises:
        RunError: no such run, or several and none named.
        WeightsError: the version is not stored, or damaged.
        RendezvousError: the database cannot be reached, refuses, or has another schema.
    """
    with open_rendezvous(place) as rendezvous:
        row = rendezvous.find_run(run)
        if version == "best":
            version = rendezvous.best_version(row.id)
            if version is None:
                raise WeightsError(f"no version of {row.name} was scored: lead it with --score-every")
        return _read(rendezvous, row, version)


def read_facts(place: str, run: str, version: int) -> RunFacts:
    """What else is known of a version. Raises as ``read_generator`` does."""
    with open_rendezvous(place) as rendezvous:
        row = rendezvous.find_run(run)
        return RunFacts(
            stored_config(row.config).dataset,
            rendezvous.contributors(row.id, version),
            rendezvous.score_up_to(row.id, version),
        )


def read_history(place: str, run: str | None, most: int) -> list[StoredGenerator]:
    """The averaged generator of each version that is stored, or of ``most`` of them, oldest first.

    A version that is cleared away while others are read is left out. Raises as ``read_generator`` does.
    """
    with open_rendezvous(place) as rendezvous:
        row = rendezvous.find_run(run)
        found = []
        for version in _thinned(rendezvous.stored_versions(row.id), most):
            try:
                found.append(_read(rendezvous, row, version))
            except WeightsError as error:
                if version in rendezvous.stored_versions(row.id):
                    raise
                log.info("version %d is gone: %s", version, error)
    return found


def _thinned(versions: Sequence[int], most: int) -> Sequence[int]:
    """At most so many, evenly spread, the first and the last among them."""
    if len(versions) <= most:
        return versions
    return [versions[index * (len(versions) - 1) // (most - 1)] for index in range(most)]


def decoder_of(config: RunConfig) -> Decoder:
    """Makes weights of the bytes of any version of a run, and raises WeightsError for what is none.

    Raises:
        ConfigError: the run's networks are somebody's own, whose file was not given here.
    """
    layout = layout_of(*build(config.gan.model, config.gan.seed))
    memory = outer_of(config, layout).memory
    return lambda manifest, blob: decode_snapshot(layout, manifest, blob, memory)


def _read(rendezvous: Rendezvous, row: RunRow, version: int | None) -> StoredGenerator:
    manifest = rendezvous.read_manifest(row.id, version)
    blob = b"".join(rendezvous.read_chunks(row.id, manifest.chunks))
    config = stored_config(row.config)
    _, ema, _ = decoder_of(config)(manifest, blob)
    return StoredGenerator(row.name, manifest.version, manifest.digest, manifest.images, config.gan, ema)
