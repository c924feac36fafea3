"""How things stand, drawn in a few lines of a terminal: what is under way, losses, the swarm."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from p2pgan.peer.facts import Bar, Standing, Swarm, UnitDone
from p2pgan.protocol.texts import counted, printable

REMEMBERED = 24
"""Units whose losses make a trend."""
NARROW = 56
"""Columns below which numbers give way to percents, and trends are short."""
BLOCKS, STEPS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
G_STYLE, D_STYLE = "magenta", "yellow"


@dataclass
class Panel:
    """What is known at the moment; rich draws it."""

    standing: Standing
    losses_g: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    losses_d: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    images_per_s: float = 0.0

    def add(self, unit: UnitDone) -> None:
        """A unit's losses and its speed."""
        self.losses_g.append(unit.stats.loss_g)
        self.losses_d.append(unit.stats.loss_d)
        self.images_per_s = unit.stats.images_per_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, ascii_only = options.max_width, options.ascii_only
        yield Rule(Text(printable(self.standing.title), style="bold"), align="left", style="dim")
        if self.standing.bars:
            yield _bars(self.standing.bars, width)
        if self.losses_g:
            yield _line(self._losses(width, ascii_only))
        if self.standing.swarm is not None:
            for text in _swarm(self.standing.swarm):
                yield _line(text)
        for text in self.standing.board:
            yield Text(printable(text), overflow="fold")  # whole: somebody types it

    def _losses(self, width: int, ascii_only: bool) -> Text:
        shown = REMEMBERED if width >= NARROW + 24 else 8 if width >= 40 else 0
        text = Text()
        for name, losses, style in (("G", self.losses_g, G_STYLE), ("D", self.losses_d, D_STYLE)):
            drawn = trend(list(losses)[-shown:] if shown else [], STEPS if ascii_only else BLOCKS)
            text.append(f"{name} {losses[-1]:.2f} ", style=style)
            text.append(f"{drawn}  " if drawn else " ", style=style)
        return text.append(f"{self.images_per_s:,.0f} images/s")


def trend(values: Sequence[float], steps: str) -> str:
    """A character for each value, from the lowest to the highest of ``steps``."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(steps) - 1) / (high - low) if high > low else 0.0
    return "".join(steps[round((value - low) * scale)] for value in values)


def _bars(bars: Sequence[Bar], width: int) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(8, width // 2))
    table.add_column(ratio=1)
    table.add_column(no_wrap=True, justify="right")
    for bar in bars:
        total = max(1, bar.total)
        drawn = ProgressBar(total=total, completed=min(bar.done, total), finished_style="green")
        table.add_row(Text(printable(bar.what)), drawn, _numbers(bar) if width >= NARROW else _percent(bar))
    return table


def _numbers(bar: Bar) -> str:
    if bar.unit == "bytes":
        return f"{bar.done / 1e6:.1f} of {bar.total / 1e6:.1f} MB"
    return f"{bar.done:,} of {bar.total:,} images"


def _percent(bar: Bar) -> str:
    return f"{100 * bar.done // max(1, bar.total)} %"


def _swarm(swarm: Swarm) -> list[str]:
    leader = "nobody" if swarm.leader is None else swarm.leader
    age = "" if swarm.since_commit_s is None else f", {swarm.since_commit_s:.0f} s ago"
    return [
        f"{swarm.doing}; {counted(swarm.peers, 'peer')} here, the pen: {leader}, term {swarm.term}",
        f"version {swarm.version}, last commit {swarm.committed}{age}",
    ]


def _line(text: Text | str) -> Text:
    line = Text(printable(text)) if isinstance(text, str) else text
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
