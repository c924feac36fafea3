"""Where facts are told: to one renderer for whoever watches, and to any number of trackers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from p2pgan.peer.facts import Fact, Noted, Renderer, Sampled, Standing, UnitDone, VersionReached
from p2pgan.peer.lines import JsonLines, Lines
from p2pgan.peer.options import LogFormat
from p2pgan.peer.output import Output
from p2pgan.protocol.ids import VersionRecord

if TYPE_CHECKING:
    from p2pgan.gan.units import UnitStats


class Log:
    """Tells facts, and falls silent when nobody can read them. It leaves the terminal whole where it ends."""

    def __init__(self, form: LogFormat) -> None:
        self._shown = _renderer(form)
        self._trackers: list[Renderer] = []
        self.draws = form == "auto" and _on_terminal()
        """Whether somebody is shown how things stand; else nobody need find it out."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back, and end the trackers; what follows is written as lines."""
        self._shown.close()
        while self._trackers:
            self._with(self._trackers.pop(), lambda tracker: tracker.close())

    def track(self, trackers: Sequence[Renderer]) -> None:
        """From now on tell these as well."""
        self._trackers = [*self._trackers, *trackers]

    def note(self, kind: str, text: str) -> None:
        """A decision and its reason."""
        self._tell(Noted(kind, text))

    def unit(self, stats: UnitStats) -> None:
        """Spans of a unit were trained by this peer."""
        self._tell(UnitDone(stats))

    def version(self, record: VersionRecord, members: int, images: int, seconds: float) -> None:
        """This peer's weights have become a version."""
        self._tell(VersionReached(record, members, images, seconds))

    def samples(self, images: int, png: bytes) -> None:
        """This peer drew a grid for everyone, when the run had counted ``images``."""
        self._tell(Sampled(images, png))

    def standing(self, standing: Standing) -> None:
        """How things are at this moment."""
        self._tell(standing)

    def _tell(self, fact: Fact) -> None:
        self._shown.tell(fact)
        for tracker in tuple(self._trackers):
            self._with(tracker, lambda told: told.tell(fact))

    def _with(self, tracker: Renderer, call: Callable[[Renderer], None]) -> None:
        """A tracker that fails, in whatever way its library has, is dropped: training goes on."""
        try:
            call(tracker)
        except Exception as error:
            self._trackers = [other for other in self._trackers if other is not tracker]
            self._shown.tell(Noted("tracker", f"it fails, and is left out from now on: {error}"))


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
