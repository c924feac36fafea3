"""The end of a lab: what happened, as a page for people and as JSON for programs."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

from p2pgan.lab.faults import FaultRecord
from p2pgan.protocol.texts import counted


@dataclass(frozen=True)
class PeerReport:
    """One peer at the end of the lab."""

    name: str
    end: str
    """How it ended: ``left``, ``killed``, or what it said last."""
    version: int
    """The last one it applied."""
    images: int
    """Images of its contributions in committed weights."""
    log: str


TABLE_HEAD = (
    "| scenario | faults | recoveries | next version: p50 | p95 | longest pause: p50 | p95 "
    "| images trained again | violations |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


CHECKED = (
    "Checked: no peer ended unasked, and no two minutes went without a version; versions follow on each "
    "other without gap or fork; each image of a pass counts exactly once; what is marked as done is in "
    "committed weights; the newest weights are stored undamaged; peers that applied the same round had the "
    "same weights, and those that left in order the committed ones; whoever was there for the last minute "
    "has images that count."
)


@dataclass(frozen=True)
class Recovery:
    """A row of a table of scenarios."""

    faults: int
    recoveries: int
    """Faults after which another version was committed."""
    p50_s: float | None
    """Time from a fault to the next committed version; None if there was none."""
    p95_s: float | None
    pause_p50_s: float | None
    """The longest time between two versions around a fault."""
    pause_p95_s: float | None
    usual_gap_s: float | None
    """Time between two versions as it mostly was."""
    handed_out_again: int
    images_redone: int
    """Trained more than once because what a peer had learned of them got lost."""
    violations: int

    def __str__(self) -> str:
        return (
            f"{counted(self.faults, 'fault')}, {self.recoveries} followed by a recovery, "
            f"next version after: {_both(self.p50_s, self.p95_s)}; "
            f"longest pause between two versions: {_both(self.pause_p50_s, self.pause_p95_s)}, "
            f"usually {_seconds(self.usual_gap_s)}; "
            f"{self.handed_out_again} units handed out again, {self.images_redone:,} images trained again, "
            f"{self.violations} violations"
        )

    def row(self, scenario: str) -> str:
        """A line under ``TABLE_HEAD``, in markdown."""
        times = map(_seconds, (self.p50_s, self.p95_s, self.pause_p50_s, self.pause_p95_s))
        redone = f"{self.images_redone:,}"
        cells = [scenario, self.faults, self.recoveries, *times, redone, self.violations]
        return "| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _both(p50_s: float | None, p95_s: float | None) -> str:
    return "-" if p50_s is None else f"p50 {_seconds(p50_s)}, p95 {_seconds(p95_s)}"


@dataclass(frozen=True)
class LabReport:
    """All that a lab found out; ``failures`` is empty if everything held."""

    scenario: str | None
    """Its name; None if nothing was to happen to the peers."""
    about: str
    command: str
    run: str
    dataset: str
    seconds: float
    versions: int
    terms: int
    images: int
    images_per_s: float
    peers: tuple[PeerReport, ...]
    faults: tuple[FaultRecord, ...]
    usual_gap_s: float | None
    """Median time between two versions; None if there were no two."""
    handed_out_again: int
    """Units that were handed out anew because a peer or a leader was lost."""
    images_redone: int
    """Of all images trained, those beyond the ones that count."""
    failures: tuple[str, ...]
    interrupted: bool
    """Ctrl-C ended it early."""
    picture: str | None
    losses: str | None
    samples: str | None
    machine: str = field(default_factory=lambda: _machine())

    @property
    def passed(self) -> bool:
        return not self.failures and not self.interrupted

    @property
    def recovery(self) -> Recovery:
        """How the run went on after its faults."""
        times = sorted(f.recovered_s for f in self.faults if f.recovered_s is not None)
        pauses = sorted(f.pause_s for f in self.faults if f.pause_s is not None)
        return Recovery(
            faults=len(self.faults),
            recoveries=len(times),
            p50_s=_percentile(times, 0.5),
            p95_s=_percentile(times, 0.95),
            pause_p50_s=_percentile(pauses, 0.5),
            pause_p95_s=_percentile(pauses, 0.95),
            usual_gap_s=self.usual_gap_s,
            handed_out_again=self.handed_out_again,
            images_redone=self.images_redone,
            violations=len(self.failures),
        )

    def as_json(self) -> str:
        told = {"passed": self.passed, **asdict(self), "recovery": asdict(self.recovery)}
        return json.dumps(told, indent=2) + "\n"

    def as_markdown(self) -> str:
        title = f"Lab {self.scenario}" if self.scenario else "Lab"
        lines = [
            f"# {title}: {self._outcome()}",
            "",
            *([self.about.strip(), ""] if self.about else []),
            f"Run `{self.run}` on `{self.dataset}`: {counted(self.versions, 'version')} in "
            f"{self.seconds:.0f} s, {self.images:,} images counted, {self.images_per_s:,.0f} images/s, "
            f"{counted(self.terms, 'term')}.",
            "",
            f"Command: `{self.command}`",
            "",
            f"Machine: {self.machine}",
            "",
            CHECKED,
            "",
            *_failures(self.failures),
            *_peers(self.peers),
            *_faults(self.faults, self.recovery),
            *_picture("Images from the last committed weights", self.picture),
            *_picture("Losses and judgements", self.losses),
        ]
        return "\n".join(lines).rstrip() + "\n"

    def _outcome(self) -> str:
        if self.failures:
            early = ", interrupted" if self.interrupted else ""
            return f"{counted(len(self.failures), 'failure')}{early}"
        return "interrupted; what there was held" if self.interrupted else "everything held"


def _percentile(ordered: list[float], share: float) -> float | None:
    """Nearest rank: the smallest value that at least ``share`` of all do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _failures(failures: tuple[str, ...]) -> list[str]:
    return ["## Failures", "", *(f"- {failure}" for failure in failures), ""] if failures else []


def _peers(peers: tuple[PeerReport, ...]) -> list[str]:
    return [
        "## Peers",
        "",
        "| peer | end | version | images counted |",
        "|---|---|---|---|",
        *(f"| {p.name} | {p.end} | {p.version} | {p.images:,} |" for p in peers),
        "",
    ]


def _faults(faults: tuple[FaultRecord, ...], recovery: Recovery) -> list[str]:
    if not faults:
        return []
    return [
        "## Faults",
        "",
        f"{recovery}.",
        "",
        "| at | what | version | term | next version after | longest pause |",
        "|---|---|---|---|---|---|",
        *(
            f"| {f.at_s:.0f} s | {f.what} | {f.version} | {f.term} | "
            f"{'never' if f.recovered_s is None else _seconds(f.recovered_s)} | {_seconds(f.pause_s)} |"
            for f in faults
        ),
        "",
    ]


def _picture(title: str, path: str | None) -> list[str]:
    return [f"## {title}", "", f"![{title}]({Path(path).name})", ""] if path else []


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {platform.python_version()}"
