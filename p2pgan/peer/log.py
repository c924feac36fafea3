"""Where facts are told: to one renderer for whoever watches, and to any number of trackers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from p2pgan.peer.facts import Fact, Noted, Renderer, Standing, UnitDone, VersionReached
from p2pgan.peer.lines import JsonLines, Lines
from p2pgan.peer.options import LogFormat
from p2pgan.peer.output import Output
from p2pgan.protocol.ids import VersionRecord

if TYPE_CHECKING:
    from p2pgan.gan.units import UnitStats


class Log:
    """Tells facts, and falls silent when nobody can read them. It leaves the terminal whole where it ends."""

    def __init__(self, form: LogFormat, trackers: Sequence[Renderer] = ()) -> None:
        self._renderers = [_renderer(form), *trackers]
        self.draws = form == "auto" and _on_terminal()
        """Whether somebody is shown how things stand; else nobody need find it out."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back; what follows is written as lines."""
        for renderer in self._renderers:
            renderer.close()

    def note(self, kind: str, text: str) -> None:
        """A decision and its reason."""
        self._tell(Noted(kind, text))

    def unit(self, stats: UnitStats) -> None:
        """Spans of a unit were trained by this peer."""
        self._tell(UnitDone(stats))

    def version(self, record: VersionRecord, members: int, images: int, seconds: float) -> None:
        """This peer's weights have become a version."""
        self._tell(VersionReached(record, members, images, seconds))

    def standing(self, standing: Standing) -> None:
        """How things are at this moment."""
        self._tell(standing)

    def _tell(self, fact: Fact) -> None:
        for renderer in self._renderers:
            renderer.tell(fact)


def _renderer(form: LogFormat) -> Renderer:
    if form == "json":
        return JsonLines(Output(sys.stdout))
    if form == "auto" and _on_terminal():
        from p2pgan.peer.screen import Screen

        return Screen(Output(sys.stdout))
    return Lines(Output(sys.stdout))


def _on_terminal() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
