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

    @property
    def encoding(self) -> str:
        """In which characters become bytes."""
        return getattr(self._stream, "encoding", None) or "ascii"

    def line(self, text: str) -> None:
        """Write one line at once, or nothing if nobody can read it any more."""
        self.write(f"{text}\n")

    def write(self, text: str) -> int:
        """Write at once what may be part of a line; its length, as streams have it."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                _empty(self._stream)
                self._stream = None
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()


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
