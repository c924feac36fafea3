"""A bar on the terminal while something long goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def shown_progress(items: Iterable[Item], what: str, total: int, shown_from: int) -> Iterator[Item]:
    """Passes ``items`` on, and shows how far it is unless there are fewer than ``shown_from``.

    Where stderr is no terminal nothing is shown.
    """
    from rich.console import Console
    from rich.progress import track

    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    hidden = not on_terminal or total < shown_from
    yield from track(items, what, total, console=Console(stderr=True), transient=True, disable=hidden)
