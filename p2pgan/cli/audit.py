"""``p2pgan audit``: whether what must always hold did hold in a real run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.journals import journal_file
from p2pgan.protocol.texts import counted, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pgan.protocol.ids import SnapshotManifest, VersionRecord
    from p2pgan.rendezvous import Progress, Rendezvous, RunRow


def audit(
    rendezvous: o.Rendezvous,
    run: o.RunName = None,
    journal: Annotated[
        list[Path] | None,
        typer.Option(
            "--journal", metavar="PATH", help="A peer's journal, or its state folder; may be repeated."
        ),
    ] = None,
    debug: o.Debug = False,
) -> None:
    """Check the history of a run: one line for each problem, and exit code 1 if there is one.

    Versions follow on each other without a gap or a fork, no image of an epoch counts twice or never,
    what is marked as done is in committed weights, and the newest weights are those the run says it has,
    stored undamaged. With journals, which are only read, peers that applied the same round had the same
    weights, and the journals themselves are sound.

    Example: p2pgan audit --rendezvous embedded:class --journal ~/.local/state/p2pgan/ada
    """
    from p2pgan.rendezvous import open_rendezvous

    paths = [journal_file(path) for path in journal or []]
    with open_rendezvous(rendezvous) as database:
        row = database.find_run(run)
        journals, problems = _read_journals(paths, row.name)
        history, found = _look(database, row, journals)
    problems = list(dict.fromkeys([*problems, *found]))
    for problem in problems:
        typer.echo(printable(problem))
    for name, ahead in _ahead(history, journals).items():
        typer.echo(f"note: {name} had {ahead} versions at its end that are not committed (yet)")
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{printable(row.name)}: {len(history)} versions and {len(journals)} journals, no problem")


def _read_journals(paths: Sequence[Path], run: str) -> tuple[dict[str, Sequence[VersionRecord]], list[str]]:
    """What the sound ones say, and a line for each damaged one."""
    from p2pgan.journal import JournalDamaged, read_applied

    journals: dict[str, Sequence[VersionRecord]] = {}
    problems = []
    for path in paths:
        try:
            journals[str(path)] = read_applied(path, run)
        except JournalDamaged as error:
            problems.append(str(error))
    return journals, problems


def _look(
    database: Rendezvous, row: RunRow, journals: Mapping[str, Sequence[VersionRecord]]
) -> tuple[Sequence[VersionRecord], list[str]]:
    from p2pgan.errors import WeightsError
    from p2pgan.protocol.history import (
        agreement_problems,
        chain_problems,
        count_problems,
        progress_problems,
    )

    problems = []
    genesis = None
    try:
        genesis = database.read_manifest(row.id, 0)
    except WeightsError as error:
        problems.append(str(error))
    try:
        history, progress = _settled(database, row.id)
    except WeightsError as error:
        return (), [*problems, str(error), *_damage(database, row.id)]
    images = row.dataset["count"]
    applied = [("the rendezvous", record) for record in history]
    applied += [(name, record) for name, records in journals.items() for record in records]
    newest = history[-1] if history else genesis
    return history, [
        *problems,
        *chain_problems(history, genesis.digest if genesis else None),
        *count_problems(history, images),
        *progress_problems(history, images, {e.epoch: e.done for e in progress.epochs}),
        *agreement_problems(applied),
        *(_head_problems(progress, newest) if newest else ()),
        *_damage(database, row.id, progress.version),
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


def _damage(database: Rendezvous, run_id: int, version: int | None = None) -> list[str]:
    """Reads the newest weights once, chunk by chunk; they should be those of ``version``, if it is known."""
    from p2pgan.errors import WeightsError

    try:
        manifest = database.read_manifest(run_id)
    except WeightsError as error:
        return [str(error)]
    try:
        length = sum(len(chunk) for chunk in database.read_chunks(run_id, manifest.chunks))
    except WeightsError as error:
        return [f"version {manifest.version}: {error}"]
    if length != manifest.length:
        return [f"version {manifest.version} has {length} bytes, not {manifest.length}"]
    if version is not None and manifest.version < version:
        return [f"the newest weights that are stored are version {manifest.version}, not {version}"]
    return []


def _ahead(
    history: Sequence[VersionRecord], journals: Mapping[str, Sequence[VersionRecord]]
) -> dict[str, int]:
    """How many versions each journal ends with that are not committed: its peer runs, or was killed."""
    from p2pgan.protocol.history import last_lineage

    committed = {(record.version, record.digest) for record in history}
    ahead = {
        name: sum((r.version, r.digest) not in committed for r in last_lineage(records))
        for name, records in journals.items()
    }
    return {name: count for name, count in ahead.items() if count}
