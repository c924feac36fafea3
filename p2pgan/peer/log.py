"""What a running peer prints: timestamped lines for people, or JSON lines for programs."""

from __future__ import annotations

import sys

import structlog

from p2pgan.gan.train import UnitStats
from p2pgan.peer.options import LogFormat
from p2pgan.protocol.ids import VersionRecord


class Log:
    """Prints decisions with their reasons, units and versions."""

    def __init__(self, form: LogFormat) -> None:
        if form == "json":
            time_stamper = structlog.processors.TimeStamper(fmt="iso")
            renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
        else:
            time_stamper = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
            renderer = _line
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(sys.stdout), processors=[time_stamper, renderer], wrapper_class=None
        )

    def note(self, kind: str, text: str) -> None:
        """A decision and its reason."""
        self._logger.msg(text, kind=kind)

    def unit(self, stats: UnitStats) -> None:
        """Spans of a unit were trained by this peer."""
        judged = f"D(x) {stats.d_real:.2f} D(G(z)) {stats.d_fake:.2f}"
        self._logger.msg(f"{stats}, {judged}, {stats.images_per_s:.0f} images/s", kind="unit")

    def version(self, record: VersionRecord, members: int, images: int, seconds: float) -> None:
        """This peer's weights have become a version."""
        text = f"version {record.version}: {images} images of {members} peers in {seconds:.1f} s"
        self._logger.msg(f"{text}, {record.images} in all", kind="version")


def _line(_logger: object, _method: str, event: structlog.types.EventDict) -> str:
    return f"{event['timestamp']} {event['kind']:<9} {event['event']}"
