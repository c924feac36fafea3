"""``p2pgan audit``: whether what must always hold did hold in a real run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pgan.protocol.ids import VersionRecord
    from p2pgan.rendezvous import Rendezvous, RunRow

JOURNAL_FILE = "journal.sqlite"


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
    what is marked as done is in committed weights, and the newest weights are stored undamaged. With
    journals, peers that applied the same round had the same weights.

    Example: p2pgan audit --rendezvous embedded:class --journal ~/.local/state/p2pgan/ada
    """
    from p2pgan.journal import read_applied
    from p2pgan.rendezvous import open_rendezvous

    paths = [_journal(path) for path in journal or []]
    with open_rendezvous(rendezvous) as database:
        row = database.find_run(run)
        journals = {str(path): read_applied(path, row.name) for path in paths}
        history, problems = _look(database, row, journals)
    for problem in problems:
        typer.echo(printable(problem))
    for name, ahead in _ahead(history, journals).items():
        typer.echo(f"note: {name} had {ahead} versions at its end that are not committed (yet)")
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{printable(row.name)}: {len(history)} versions and {len(journals)} journals, no problem")


def _journal(path: Path) -> Path:
    """The file that ``path`` means. Raises ConfigError if there is none."""
    file = path / JOURNAL_FILE if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"there is no journal at {path}: give a peer's state folder or its {JOURNAL_FILE}")
    return file


def _look(
    database: Rendezvous, row: RunRow, journals: Mapping[str, Sequence[VersionRecord]]
) -> tuple[tuple[VersionRecord, ...], list[str]]:
    from p2pgan.protocol.history import (
        agreement_problems,
        chain_problems,
        count_problems,
        progress_problems,
    )

    images = row.dataset["count"]
    genesis = database.read_manifest(row.id, 0).digest
    # A commit may come between two calls: what is marked as done is asked for before and after.
    before = database.read_progress(row.id)
    while True:
        history = database.read_history(row.id)
        progress = database.read_progress(row.id)
        if progress == before:
            break
        before = progress
    applied = [("the rendezvous", record) for record in history]
    applied += [(name, record) for name, records in journals.items() for record in records]
    return history, [
        *chain_problems(history, genesis),
        *count_problems(history, images),
        *progress_problems(history, images, {e.epoch: e.done for e in progress.epochs}),
        *agreement_problems(applied),
        *_damage(database, row.id),
    ]


def _damage(database: Rendezvous, run_id: int) -> list[str]:
    """Reads the newest weights once, chunk by chunk."""
    from p2pgan.errors import WeightsError

    manifest = database.read_manifest(run_id)
    try:
        length = sum(len(chunk) for chunk in database.read_chunks(run_id, manifest.chunks))
    except WeightsError as error:
        return [f"version {manifest.version}: {error}"]
    if length != manifest.length:
        return [f"version {manifest.version} has {length} bytes, not {manifest.length}"]
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
