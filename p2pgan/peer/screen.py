"""Facts on a terminal: lines scroll by above, and below them is drawn how things stand."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import IO, cast

from rich.console import Console
from rich.live import Live
from rich.text import Text

from p2pgan.peer.aside import Aside
from p2pgan.peer.facts import Fact, Sampled, Standing, UnitDone
from p2pgan.peer.lines import clock, kind_of, sentence
from p2pgan.peer.output import Output
from p2pgan.peer.panel import Panel

DRAW_EVERY_S = 0.25


class Screen:
    """Draws from the first standing on, until ``close`` takes the drawing away and leaves the lines."""

    def __init__(self, output: Output, now: Callable[[], float] = time.monotonic) -> None:
        self._terminal = Aside(output)
        self._console = Console(file=cast("IO[str]", self._terminal), force_terminal=True, highlight=False)
        self._now = now
        self._panel: Panel | None = None
        self._live: Live | None = None
        self._drawn_at = 0.0
        self._lock = threading.Lock()

    def tell(self, fact: Fact) -> None:
        with self._lock:
            if isinstance(fact, Standing):
                self._show(fact)
                return
            if isinstance(fact, Sampled):
                return
            if isinstance(fact, UnitDone) and self._panel is not None:
                self._panel.add(fact)
            # The signals of a unit would not fit: a log file and the dashboard have them.
            said = str(fact.stats) if isinstance(fact, UnitDone) else sentence(fact)
            line = Text.assemble((clock(), "dim"), " ", (f"{kind_of(fact):<9}", "cyan"), " ", said)
            self._console.print(line, soft_wrap=True)

    def close(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None
            self._terminal.close()

    def _show(self, standing: Standing) -> None:
        if self._panel is None:
            self._panel = Panel(standing)
        self._panel.standing = standing
        if self._live is None:
            self._live = Live(
                self._panel,
                console=self._console,
                auto_refresh=False,
                transient=True,
                vertical_overflow="crop",
                # What libraries print scrolls by as well, unless it goes elsewhere.
                redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
            )
            self._live.start()
            # Shown all the time, so that no end at all, kill -9 included, leaves a terminal without one.
            self._console.show_cursor(True)
        if self._now() - self._drawn_at >= DRAW_EVERY_S and self._terminal.idle:
            self._drawn_at = self._now()
            self._live.refresh()
