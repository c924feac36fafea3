"""Whether what must always hold did hold in a run, as far as its database and journals tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from p2pgan.errors import WeightsError
from p2pgan.protocol.history import agreement_problems, chain_problems, count_problems, progress_problems
from p2pgan.protocol.ids import SnapshotManifest, VersionRecord
from p2pgan.protocol.texts import counted
from p2pgan.rendezvous.postgres import Rendezvous
from p2pgan.rendezvous.rows import Progress, RunRow

Decode = Callable[[SnapshotManifest, bytes], object]
"""What makes weights of a snapshot's bytes. Raises WeightsError if they are none of the run's."""


def audit_run(
    database: Rendezvous,
    row: RunRow,
    applied_by: Mapping[str, Sequence[VersionRecord]],
    decode: Decode | None = None,
) -> tuple[Sequence[VersionRecord], list[str]]:
    """The committed history, and all that is wrong with it; one line for each problem.

    ``applied_by`` has every version that each peer ever applied, as its journal says. With ``decode``
    the numbers in the newest weights are looked at too, not only whether their bytes are there.
    """
    problems = []
    genesis = None
    try:
        genesis = database.read_manifest(row.id, 0)
    except WeightsError as error:
        problems.append(str(error))
    try:
        history, progress = _settled(database, row.id)
    except WeightsError as error:
        return (), [*problems, str(error), *_damage(database, row.id, None, decode)]
    images = row.dataset["count"]
    applied = [("the rendezvous", record) for record in history]
    applied += [(name, record) for name, records in applied_by.items() for record in records]
    newest = history[-1] if history else genesis
    return history, [
        *problems,
        *chain_problems(history, genesis.digest if genesis else None),
        *count_problems(history, images),
        *progress_problems(history, images, {e.epoch: e.done for e in progress.epochs}),
        *agreement_problems(applied),
        *(_head_problems(progress, newest) if newest else ()),
        *_damage(database, row.id, progress.version, decode),
    ]


def _settled(database: Rendezvous, run_id: int) -> tuple[Sequence[VersionRecord], Progress]:
    """History and progress of one moment. Raises WeightsError."""
    # A commit may come between two calls: what is marked as done is asked for before and after.
    before = database.read_progress(run_id)
    while True:
        history = database.read_history(run_id)
        progress = database.read_progress(run_id)
        if progress == before:
            return history, progress
        before = progress


def _head_problems(head: Progress, newest: VersionRecord | SnapshotManifest) -> list[str]:
    """The run's own row says the same as its newest version."""
    if head.version != newest.version:
        return [f"the run is at version {head.version}, its history ends with version {newest.version}"]
    problems = []
    if head.digest != newest.digest:
        problems.append(f"the run has other weights than its newest version {newest.version}")
    if head.images != newest.images:
        said = counted(head.images, "image")
        problems.append(f"the run says {said}, its newest version {newest.version} says {newest.images}")
    return problems


def _damage(database: Rendezvous, run_id: int, version: int | None, decode: Decode | None) -> list[str]:
    """Reads the newest weights once, chunk by chunk; they should be those of ``version``, if it is known."""
    try:
        manifest = database.read_manifest(run_id)
    except WeightsError as error:
        return [str(error)]
    try:
        blob = b"".join(database.read_chunks(run_id, manifest.chunks))
    except WeightsError as error:
        return [f"version {manifest.version}: {error}"]
    if len(blob) != manifest.length:
        return [f"version {manifest.version} has {len(blob)} bytes, not {manifest.length}"]
    if decode is not None:
        try:
            decode(manifest, blob)
        except WeightsError as error:
            return [str(error)]
    if version is not None and manifest.version < version:
        return [f"the newest weights that are stored are version {manifest.version}, not {version}"]
    return []
