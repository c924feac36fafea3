"""The end of a lab: what happened, as a page for people and as JSON for programs."""

from __future__ import annotations

import json
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

    def as_json(self) -> str:
        return json.dumps({"passed": self.passed, **asdict(self)}, indent=2) + "\n"

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
            *_failures(self.failures),
            *_peers(self.peers),
            *_faults(self.faults),
            *_picture("Images from the last committed weights", self.picture),
            *_picture("Losses and judgements", self.losses),
        ]
        return "\n".join(lines).rstrip() + "\n"

    def _outcome(self) -> str:
        if self.failures:
            early = ", interrupted" if self.interrupted else ""
            return f"{counted(len(self.failures), 'failure')}{early}"
        return "interrupted; what there was held" if self.interrupted else "everything held"


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


def _faults(faults: tuple[FaultRecord, ...]) -> list[str]:
    if not faults:
        return []
    return [
        "## Faults",
        "",
        "| at | what | version | term | next version after |",
        "|---|---|---|---|---|",
        *(
            f"| {f.at_s:.0f} s | {f.what} | {_or_unknown(f.version)} | {_or_unknown(f.term)} | "
            f"{f'{f.recovered_s:.1f} s' if f.recovered_s is not None else 'never'} |"
            for f in faults
        ),
        "",
    ]


def _picture(title: str, path: str | None) -> list[str]:
    return [f"## {title}", "", f"![{title}]({Path(path).name})", ""] if path else []


def _or_unknown(value: int | None) -> str:
    return "?" if value is None else str(value)


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {platform.python_version()}"
