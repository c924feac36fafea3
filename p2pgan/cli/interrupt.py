"""Ctrl-C in a command that has something to keep."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def asked_to_end() -> Iterator[threading.Event]:
    """Within the block the first Ctrl-C, SIGTERM or closed terminal only sets the event.

    The second one raises KeyboardInterrupt. A signal that is ignored outside stays ignored.
    """
    asked = threading.Event()
    # What is ignored stays so: SIGHUP under nohup, SIGINT in the background of a script.
    numbers = [n for n in ENDS if signal.getsignal(n) is not signal.SIG_IGN]

    def handle(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
