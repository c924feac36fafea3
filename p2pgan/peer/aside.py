"""A terminal that is written to aside: whoever stops it (Ctrl-S, a suspended ssh) stops no training."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress

from p2pgan.peer.output import Output

MOST_WAITING = 1000
"""Pieces of text for a terminal that takes none; what comes then is lost."""
LAST_WORDS_S = 2.0
"""So long the end waits for a terminal that takes its time."""


class Aside:
    """What rich takes for a stream. A thread writes; ``write`` never waits."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._waiting: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether all is written: else it is of no use to draw what will be old when it is seen."""
        return self._waiting.unfinished_tasks == 0

    @property
    def encoding(self) -> str:
        return self._output.encoding

    def write(self, text: str) -> int:
        """Have ``text`` written soon; once closed at once, if the terminal still takes anything."""
        if self._closed:
            return len(text) if self._thread.is_alive() else self._output.write(text)
        # A terminal that is stopped loses it; what a peer must not forget is in its journal.
        with suppress(queue.Full):
            self._waiting.put_nowait(text)
        return len(text)

    def flush(self) -> None:
        """The thread does."""

    def isatty(self) -> bool:
        return self._output.isatty()

    def close(self) -> None:
        """Wait a moment until all is written; may be called again."""
        if not self._closed:
            self._closed = True
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(LAST_WORDS_S)

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            self._output.write(text)
            self._waiting.task_done()
