"""What a check found, and how a check that fails becomes a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from p2pgan.errors import P2pganError

Mark = Literal["ok", "note", "mend"]
"""``note``: a peer can take part, but something would be better otherwise; ``mend``: it cannot."""

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report; neither it nor its facts hold a password, a key or a whole DSN."""

    check: str
    mark: Mark
    text: str
    """What there is, or what is wrong and what to do."""
    facts: Facts = field(default_factory=lambda: MappingProxyType({}))
    """The same for programs."""


@contextmanager
def failing(findings: list[Finding], check: str) -> Iterator[None]:
    """Within the block an error of p2pgan becomes a finding that must be mended, and ends the block."""
    try:
        yield
    except P2pganError as error:
        findings.append(Finding(check, "mend", " ".join(error.told.split())))
