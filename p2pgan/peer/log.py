"""What a running peer prints: timestamped lines for people, or JSON lines for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import structlog

from p2pgan.peer.options import LogFormat
from p2pgan.peer.output import Output
from p2pgan.protocol.ids import VersionRecord
from p2pgan.protocol.texts import counted, printable

if TYPE_CHECKING:  # torch comes with it, and the first line comes before torch
    from p2pgan.gan.train import UnitStats


class Log:
    """Prints decisions with their reasons, units and versions; falls silent when nobody can read it."""

    def __init__(self, form: LogFormat) -> None:
        if form == "json":
            time_stamper = structlog.processors.TimeStamper(fmt="iso")
            renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
        else:
            time_stamper = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
            renderer = _line
        self._logger = structlog.wrap_logger(
            _Lines(Output(sys.stdout)), processors=[time_stamper, renderer], wrapper_class=None
        )

    def note(self, kind: str, text: str) -> None:
        """A decision and its reason."""
        self._logger.info(text, kind=kind)

    def unit(self, stats: UnitStats) -> None:
        """Spans of a unit were trained by this peer."""
        self._logger.info(f"{stats}, {stats.signals}, {stats.images_per_s:.0f} images/s", kind="unit")

    def version(self, record: VersionRecord, members: int, images: int, seconds: float) -> None:
        """This peer's weights have become a version."""
        what = f"{counted(images, 'image')} of {counted(members, 'peer')}"
        text = f"version {record.version}: {what} in {seconds:.1f} s"
        self._logger.info(f"{text}, {record.images} in all", kind="version")


class _Lines:
    """structlog's end of the log."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def info(self, line: str) -> None:
        self._output.line(line)


def _line(_logger: object, _method: str, event: structlog.types.EventDict) -> str:
    return f"{event['timestamp']} {event['kind']:<9} {printable(event['event'])}"
