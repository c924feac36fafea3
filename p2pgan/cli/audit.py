"""``p2pgan audit``: whether what must always hold did hold in a real run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.journals import journal_file
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pgan.peer.stored import Decoder
    from p2pgan.protocol.ids import VersionRecord
    from p2pgan.rendezvous import RunRow


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
    what is marked as done is in committed weights, and the newest weights are those the run says it has:
    stored undamaged, of its networks, finite, and what their digest names. With journals, which are only
    read, peers that applied the same round had the same weights, and the journals themselves are sound.

    Example: p2pgan audit --rendezvous embedded:class --journal ~/.local/state/p2pgan/ada
    """
    from p2pgan.rendezvous import audit_run, open_rendezvous

    paths = [journal_file(path) for path in journal or []]
    with open_rendezvous(rendezvous) as database:
        row = database.find_run(run)
        journals, problems = _read_journals(paths, row.name)
        decode, unchecked = _decoder(row)
        history, found = audit_run(database, row, journals, decode)
    problems = list(dict.fromkeys([*problems, *found]))
    for problem in problems:
        typer.echo(printable(problem))
    for name, ahead in _ahead(history, journals).items():
        typer.echo(f"note: {name} had {ahead} versions at its end that are not committed (yet)")
    if unchecked is not None:
        typer.echo(f"note: the numbers in the weights were not looked at: {printable(unchecked)}")
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{printable(row.name)}: {len(history)} versions and {len(journals)} journals, no problem")


def _decoder(row: RunRow) -> tuple[Decoder | None, str | None]:
    """What looks at the numbers in the weights, or why nothing can."""
    from p2pgan.errors import ConfigError
    from p2pgan.peer.config import stored_config
    from p2pgan.peer.stored import decoder_of

    try:
        return decoder_of(stored_config(row.config)), None
    except ConfigError as error:
        return None, str(error)


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
