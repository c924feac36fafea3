"""What a lab leaves behind, gathered from the database, the journals and the processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from p2pgan.errors import ConfigError
from p2pgan.journal import VersionEntry, read_entries
from p2pgan.lab.journals import images_redone, read_trained, read_units
from p2pgan.lab.lab import Lab
from p2pgan.lab.pauses import longest_pauses, usual_gap, version_times
from p2pgan.lab.plots import UnitPoint, draw_losses
from p2pgan.lab.process import LEFT, PeerProcess
from p2pgan.lab.report import LabReport, PeerReport
from p2pgan.protocol.history import journal_problems, last_lineage
from p2pgan.protocol.ids import VersionRecord
from p2pgan.rendezvous import PeerRow, audit_run


def collect(lab: Lab) -> LabReport:
    """Writes samples, plot and report into the lab's folder, and returns the report."""
    options, out, database = lab.options, lab.options.out, lab.database
    run = database.find_run(options.run)
    processes = list(lab.fleet.peers.values())
    entries, damaged = _read_journals(processes, run.name)
    applied = {name: tuple(entry.record for entry in entries[name]) for name in entries}
    history, problems = audit_run(database, run, applied)
    # A peer that was killed may have been ahead of all others: its last rounds never happened.
    well = [peer.name for peer in processes if peer.end == LEFT and peer.name not in damaged]
    led_to_the_end = {name: last_lineage(applied[name]) for name in well}
    peers = _peers(processes, database.list_peers(run.id).peers, history, applied)
    times = version_times(
        history, [e for name, told in entries.items() if name not in options.scenario.clocks for e in told]
    )
    faults = lab.injector.records
    for fault, pause_s in zip(faults, longest_pauses(times, [f.version for f in faults]), strict=True):
        fault.pause_s = pause_s
    idle = [peer.name for peer in peers if peer.name in lab.full_members and not peer.images]
    failures = [
        *lab.failures,
        *(f"{name}: {reason}" for name, reason in damaged.items()),
        *problems,
        *journal_problems(history, led_to_the_end),
        *(f"{name} took part, but no image of its was counted" for name in idle),
    ]
    report = LabReport(
        scenario=options.scenario.name or None,
        about=options.scenario.about,
        command=options.command,
        run=run.name,
        dataset=options.dataset,
        seconds=round(lab.trained_s, 1),
        versions=run.version,
        terms=len({record.term for record in history}),
        images=run.images,
        images_per_s=round(run.images / lab.trained_s, 1) if lab.trained_s else 0.0,
        peers=peers,
        faults=tuple(faults),
        usual_gap_s=usual_gap(times),
        handed_out_again=database.handed_out_again(run.id),
        images_redone=images_redone(
            history,
            [work for p in processes if p.name not in damaged for work in read_trained(p.journal, run.name)],
        ),
        failures=tuple(failures),
        interrupted=lab.interrupted,
        picture=_if_there(out / "generated.png"),
        losses=_losses(lab, processes, out / "losses.png"),
        samples=_samples(lab, run.id, out / "samples"),
    )
    (out / "report.md").write_text(report.as_markdown(), encoding="utf-8")
    (out / "report.json").write_text(report.as_json(), encoding="utf-8")
    return report


def _read_journals(
    processes: Iterable[PeerProcess], run: str
) -> tuple[dict[str, tuple[VersionEntry, ...]], dict[str, str]]:
    """What each peer applied, nothing of one whose journal cannot be read; and why it cannot."""
    entries: dict[str, tuple[VersionEntry, ...]] = {}
    damaged: dict[str, str] = {}
    for peer in processes:
        try:
            entries[peer.name] = read_entries(peer.journal, run)
        except ConfigError as error:
            entries[peer.name], damaged[peer.name] = (), str(error)
    return entries, damaged


def _peers(
    processes: Sequence[PeerProcess],
    rows: Iterable[PeerRow],
    history: Iterable[VersionRecord],
    applied: Mapping[str, Sequence[VersionRecord]],
) -> tuple[PeerReport, ...]:
    counted: Counter[str] = Counter()
    for record in history:
        for contribution in record.contributions:
            counted[contribution.peer] += contribution.images
    by_name = {row.name: row for row in rows}
    return tuple(
        PeerReport(
            name=process.name,
            end=process.end,
            version=max((record.version for record in applied[process.name]), default=0),
            images=counted[by_name[process.name].id] if process.name in by_name else 0,
            log=str(process.log),
        )
        for process in processes
    )


def _losses(lab: Lab, processes: Sequence[PeerProcess], path: Path) -> str | None:
    units: dict[str, tuple[UnitPoint, ...]] = {}
    for peer in processes:
        with suppress(ConfigError):  # a journal that cannot be read is among the failures
            units[peer.name] = read_units(peer.journal, lab.options.run, lab.began_at)
    units = {name: points for name, points in units.items() if points}
    if not units:
        return None
    draw_losses(units, path)
    return str(path)


def _samples(lab: Lab, run_id: int, folder: Path) -> str | None:
    """Writes the grids that the leaders drew during the run, one file per version."""
    samples = lab.database.samples(run_id)
    if not samples:
        return None
    folder.mkdir(exist_ok=True)
    for sample in samples:
        (folder / f"version-{sample.version:06d}.png").write_bytes(sample.png)
    return str(folder)


def _if_there(path: Path) -> str | None:
    return str(path) if path.exists() else None
