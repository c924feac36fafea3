"""Looking again and again, until Ctrl-C: redrawn on a terminal, printed anew elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Protocol, TypeVar

from p2pgan.errors import RendezvousUnavailable
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

Seen = TypeVar("Seen")
In = TypeVar("In", contravariant=True)


class Display(Protocol[In]):
    """Where what was seen is shown."""

    def show(self, seen: In) -> None:
        """What is there now."""
        ...

    def away(self, why: str) -> None:
        """Nothing could be seen, for the first time since the last ``show``."""
        ...


def watch(look: Callable[[], Seen], display: Display[Seen], every_s: float, asked: Event) -> None:
    """Show what ``look`` gives every ``every_s`` seconds, until ``asked`` is set.

    A database that goes away is waited for. Raises RendezvousUnavailable if it is not there at first.
    """
    display.show(look())
    is_away = False
    while not asked.wait(every_s):
        try:
            seen = look()
        except RendezvousUnavailable as error:
            if not is_away:
                display.away(f"{error}; looking again every {every_s:g} s")
            is_away = True
        else:
            display.show(seen)
            is_away = False


class Pages:
    """Each look printed below the one before, with its time."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, seen: RenderableType) -> None:
        self._console.print(f"{_now()}:", markup=False)
        self._console.print(seen)

    def away(self, why: str) -> None:
        self._console.print(f"{_now()}: {printable(why)}", markup=False, soft_wrap=True)


class Screen:
    """One place on a terminal, drawn over and over."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._last: RenderableType = ""

    def show(self, seen: RenderableType) -> None:
        self._last = seen
        self._draw(f"{_now()}, Ctrl-C ends it")

    def away(self, why: str) -> None:
        self._draw(f"{_now()}: {printable(why)}")

    def _draw(self, below: str) -> None:
        from rich.console import Group
        from rich.text import Text

        self._live.update(Group(self._last, Text(below)), refresh=True)


@contextmanager
def place_to_show(console: Console) -> Iterator[Display[RenderableType]]:
    """A screen on a terminal, else pages."""
    if not console.is_terminal:
        yield Pages(console)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        yield Screen(live)


def _now() -> str:
    return f"{datetime.now():%H:%M:%S}"
