"""Ctrl-C, SIGTERM and SIGHUP: a peer leaves cleanly, whatever it is doing at that moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
"""Exit code where nothing was left cleanly."""
LAST_WORDS = b"p2pgan: ended at once: what was under way is lost, and the others notice in some seconds\n"


class Departure:
    """What a signal means now: it interrupts the start, later on it asks the peer to leave.

    A closed terminal may come with several signals (SIGHUP twice, or SIGTERM after it); only who sends
    SIGINT or SIGTERM twice insists, and ends the process at once.
    """

    def __init__(self) -> None:
        self._leave: Callable[[], None] | None = None
        self._asked = False
        self._insists = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Until the block ends signals come here; Python lets only the main thread take them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._signalled) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask(self, leave: Callable[[], None]) -> None:
        """From now on a signal calls ``leave``.

        Raises:
            KeyboardInterrupt: one has come already, and a library swallowed the interrupt.
        """
        self._leave = leave
        if self._asked:
            raise KeyboardInterrupt

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGHUP:
            if self._insists:
                with suppress(OSError):
                    # On a terminal something may be drawn at the beginning of the line.
                    os.write(2, b"\n" + LAST_WORDS if os.isatty(2) else LAST_WORDS)
                os._exit(INTERRUPTED)
            self._insists = True
        if self._asked:
            return
        self._asked = True
        if self._leave is None:
            raise KeyboardInterrupt
        self._leave()
