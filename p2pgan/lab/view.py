"""What a lab shows while it runs: a live panel on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from p2pgan.protocol.texts import counted
from p2pgan.rendezvous import StatusSnapshot

LINE_EVERY_S = 5.0
COLUMNS = ("peer", "state", "images/s", "version", "digest")


class View:
    """Shows progress and notes on ``console``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said_s = -LINE_EVERY_S

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, elapsed_s: float, text: str) -> None:
        """Prints a line that stays."""
        self._console.print(f"{_clock(elapsed_s)}  {text}", highlight=False, markup=False, soft_wrap=True)

    def show(
        self, elapsed_s: float, done: float, status: StatusSnapshot, starting: Sequence[str] = ()
    ) -> None:
        """Shows where the run is.

        ``done``: the share of the lab that is over; ``starting``: peers that do not take part yet.
        """
        line = _line(status)
        if starting:
            line += f"; waiting for {', '.join(starting)} to take part"
        if self._live is not None:
            self._live.update(_panel(elapsed_s, done, line, status), refresh=True)
        elif not self._said_s <= elapsed_s < self._said_s + LINE_EVERY_S:  # the lab's clock may begin anew
            self._said_s = elapsed_s
            self.note(elapsed_s, f"{min(done, 1.0):4.0%}  {line}")


def leader_name(status: StatusSnapshot) -> str:
    """Name of the peer that holds the pen."""
    return next((peer["name"] for peer in status["peers"] if peer["id"] == status["leader"]), "nobody")


def _line(status: StatusSnapshot) -> str:
    present = sum(peer["state"] in {"joining", "active"} for peer in status["peers"])
    return (
        f"version {status['committed_version']}, term {status['term']}, led by {leader_name(status)}, "
        f"{counted(present, 'peer')}, {status['images']:,} images, {status['images_per_s']:,.0f} images/s"
    )


def _panel(elapsed_s: float, done: float, line: str, status: StatusSnapshot) -> RenderableType:
    progress = Table.grid(Column(width=7), Column(width=4, justify="right"), Column(), padding=(0, 2, 0, 0))
    share = min(done, 1.0)
    progress.add_row(_clock(elapsed_s), f"{share:.0%}", ProgressBar(total=1.0, completed=share, width=40))
    table = Table(*(Column(title, no_wrap=True) for title in COLUMNS), box=None)
    for peer in status["peers"]:
        table.add_row(
            peer["name"] + (" (leads)" if peer["id"] == status["leader"] else ""),
            "set aside" if peer["set_aside"] else peer["state"],
            f"{peer['images_per_s']:,.0f}",
            str(peer["version"]),
            peer["digest"][:8],
        )
    return Group(progress, Text(line), table)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:3d}:{int(seconds) % 60:02d}"
