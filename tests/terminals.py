"""A terminal for a process of a test: what it shows is read, and keys are typed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from types import TracebackType
from typing import Any, Self

HIDES_CURSOR, SHOWS_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """As a context manager it closes both ends."""

    def __init__(self, columns: int = 100, rows: int = 30) -> None:
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.settings: list[Any] = termios.tcgetattr(self.theirs)
        """How it was before anybody used it."""
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.theirs)
        os.close(self._ours)

    @property
    def name(self) -> str:
        return os.ttyname(self.theirs)

    def type(self, keys: str) -> None:
        """As a person does: Ctrl-C is ``\\x03``."""
        os.write(self._ours, keys.encode())

    def until(self, text: str, deadline_s: float) -> None:
        """Read until ``text`` is shown."""
        ends = time.monotonic() + deadline_s
        while text not in self.shown:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, ends - time.monotonic()))
            assert ready, f"{text!r} is not shown, but {self.shown[-2000:]!r}"
            self.shown += os.read(self._ours, 65_536).decode(errors="replace")

    @property
    def is_whole(self) -> bool:
        """Whether it is as before: its settings, a cursor that is seen."""
        as_before = bool(termios.tcgetattr(self.theirs) == self.settings)
        return as_before and self.shown.rfind(SHOWS_CURSOR) >= self.shown.rfind(HIDES_CURSOR)
