"""A bar on the terminal while something long goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
IMAGES_FROM = 200
"""Fewer images are drawn before anybody wonders."""


def shown_progress(
    items: Iterable[Item], what: str, total: int, shown_from: int, of: Callable[[Item], int] = lambda _: 1
) -> Iterator[Item]:
    """Passes ``items`` on, and shows how far it is unless there is less than ``shown_from`` to do.

    ``of`` says how much of ``total`` an item is. Where stderr is no terminal nothing is shown.
    """
    from rich.console import Console
    from rich.progress import Progress

    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    hidden = not on_terminal or total < shown_from
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task, of(item))
