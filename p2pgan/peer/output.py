"""Lines for whoever reads them: a reader that goes away, or a terminal that closes, stops nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO


class Output:
    """Standard output or standard error for as long as it can be written; then silence."""

    def __init__(self, stream: TextIO | None) -> None:
        """``stream`` is None if it was closed before the process began."""
        self._stream = stream
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def line(self, text: str) -> None:
        """Write one line at once, or nothing if nobody can read it any more."""
        if self._stream is None:
            return
        try:
            print(text, file=self._stream, flush=True)
        except (OSError, ValueError):
            _empty(self._stream)
            self._stream = None


def _empty(stream: TextIO) -> None:
    """Let what is left in the stream's buffer go nowhere, or the interpreter fails at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_standard_streams() -> None:
    """Give a process that began without them descriptors 0 to 2.

    Else the first socket or file would be number 1, and a library that prints would write into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
