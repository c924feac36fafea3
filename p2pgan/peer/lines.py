"""Facts as lines: timestamped ones for people, JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import assert_never

import structlog

from p2pgan.peer.facts import Fact, Noted, Sampled, Standing, UnitDone, VersionReached
from p2pgan.peer.output import Output
from p2pgan.protocol.texts import counted, printable


class Lines:
    """A line for people: the time, the kind, and a sentence."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def tell(self, fact: Fact) -> None:
        if not isinstance(fact, Sampled | Standing):
            self._output.line(f"{clock()} {kind_of(fact):<9} {sentence(fact)}")

    def close(self) -> None:
        """The stream is not ours."""


class JsonLines:
    """A JSON object a line: ``timestamp``, ``kind``, the sentence as ``event``, and the numbers in it."""

    def __init__(self, output: Output) -> None:
        self._logger = structlog.wrap_logger(
            _End(output),
            processors=[
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=None,
        )

    def tell(self, fact: Fact) -> None:
        if not isinstance(fact, Sampled | Standing):
            said = _numbers(fact) | {"kind": kind_of(fact)}
            self._logger.info(_sentence(fact), **said)

    def close(self) -> None:
        """The stream is not ours."""


class _End:
    """structlog's end of the log."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def info(self, line: str) -> None:
        self._output.line(line)


def clock() -> str:
    """The time of day by this machine's time zone."""
    return f"{datetime.now():%H:%M:%S}"


def kind_of(fact: Noted | UnitDone | VersionReached) -> str:
    """The word that stands before a fact's sentence."""
    match fact:
        case Noted(kind):
            return kind
        case UnitDone():
            return "unit"
        case VersionReached():
            return "version"


def sentence(fact: Noted | UnitDone | VersionReached) -> str:
    """A fact in words, on one line that a terminal only shows."""
    return printable(_sentence(fact))


def _sentence(fact: Noted | UnitDone | VersionReached) -> str:
    match fact:
        case Noted(_, text):
            return text
        case UnitDone(stats):
            return f"{stats}, {stats.signals}, {stats.images_per_s:.0f} images/s"
        case VersionReached(record, members, images, seconds):
            what = f"{counted(images, 'image')} of {counted(members, 'peer')}"
            return f"version {record.version}: {what} in {seconds:.1f} s, {record.images} in all"
        case _:
            assert_never(fact)


def _numbers(fact: Noted | UnitDone | VersionReached) -> dict[str, object]:
    match fact:
        case UnitDone(stats):
            return {**asdict(stats), "images_per_s": stats.images_per_s}
        case VersionReached(record, members, images, seconds):
            numbers = {"version": record.version, "term": record.term, "members": members, "images": images}
            return numbers | {"seconds": seconds, "images_in_all": record.images}
        case _:
            return {}
