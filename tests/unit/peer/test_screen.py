"""The live view: what it draws, at which widths, and that it never keeps anyone waiting."""

from __future__ import annotations

import io
import os
import pty
import sys
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from p2pgan.gan.units import UnitStats
from p2pgan.peer.aside import MOST_WAITING, Aside
from p2pgan.peer.facts import Bar, Noted, Standing, Swarm, UnitDone
from p2pgan.peer.lines import Lines
from p2pgan.peer.log import Log
from p2pgan.peer.output import Output
from p2pgan.peer.panel import BLOCKS, Panel, trend
from p2pgan.peer.screen import DRAW_EVERY_S, Screen

UNIT = UnitStats(
    unit=42, epoch=1, images=512, seconds=15.3, loss_g=1.31, loss_d=0.62, d_real=0.8, d_fake=0.2, skipped=0
)
SWARM = Swarm(
    doing="training",
    peers=3,
    leader="ben",
    leads=False,
    term=4,
    version=17,
    committed=16,
    since_commit_s=3.2,
)
STANDING = Standing(
    "gan · ada",
    (Bar("round 18", 512, 2048, "images"), Bar("↓ version 17", 3_000_000, 12_000_000, "bytes")),
    SWARM,
)
HIDES, SHOWS = "\x1b[?25l", "\x1b[?25h"


def panel(*losses: tuple[float, float], standing: Standing = STANDING) -> Panel:
    made = Panel(standing)
    for g, d in losses:
        made.losses_g.append(g)
        made.losses_d.append(d)
    return made


def drawn(made: Panel, width: int, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=stream, width=width, color_system=None).print(made)
    stream.flush()
    return raw.getvalue().decode(encoding).splitlines()


def test_a_trend_goes_from_the_lowest_to_the_highest() -> None:
    assert trend([1.0, 2.0, 8.0], BLOCKS) == "▁▂█"
    assert trend([3.0, 3.0], BLOCKS) == "▁▁"
    assert trend([], BLOCKS) == ""


def test_everything_is_in_the_panel() -> None:
    said = "\n".join(drawn(panel((2.0, 0.5), (1.31, 0.62)), 100))
    for words in (
        "gan · ada",
        "512 of 2,048 images",
        "3.0 of 12.0 MB",
        "G 1.31 █▁",
        "D 0.62 ▁█",
        "training; 3 peers here, the pen: ben, term 4",
        "version 17, last commit 16, 3 s ago",
    ):
        assert words in said


@pytest.mark.parametrize("width", [20, 33, 44, 56, 79, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(panel(*[(number / 7, 1.0) for number in range(30)]), width)
    assert len(lines) == 6
    assert max(map(len, lines)) <= width


def test_the_blackboard_stays_in_sight_and_whole() -> None:
    line = (
        '  p2pgan join --rendezvous "postgresql://class:m3wd-7hxk-pz4c@192.168.1.20:5432/gan?sslmode=require"'
    )
    said = drawn(panel(standing=Standing("gan · vm", (), SWARM, ("on each machine:", line))), 60)
    whole = said[said.index("on each machine:") + 1 :]
    assert "".join(whole).replace(" ", "") == line.replace(" ", "")


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = drawn(panel((2.0, 0.5), (1.0, 0.6), standing=Standing("gan", SHORT)), 100, "ascii")
    assert "G 1.00 @_" in "\n".join(lines)


SHORT = (Bar("round 18", 512, 2048, "images"),)


def test_what_others_chose_is_only_shown() -> None:
    hostile = Standing("gan", (), Swarm("training", 1, "\x1b[2J[red]", False, 1, 1, 1, None))
    said = "\n".join(drawn(panel(standing=hostile), 100))
    assert "\x1b" not in said
    assert "[2J[red]" in said


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += DRAW_EVERY_S
        return self.now


class Watched:
    """A terminal whose screen somebody reads."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self._shown.extend(os.read(self._ours, 4096))
            except OSError:  # the other end was closed
                return

    def close(self) -> str:
        """All that was ever shown."""
        if not self.stream.closed:
            self.stream.close()
            self._reader.join()
            os.close(self._ours)
        return self._shown.decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    watched = Watched()
    yield watched
    watched.close()


def test_lines_stay_and_the_panel_goes(terminal: Watched) -> None:
    screen = Screen(Output(terminal.stream), Clock())
    screen.tell(Noted("run", "before"))
    screen.tell(STANDING)
    screen.tell(UnitDone(UNIT))
    screen.close()
    screen.tell(Noted("leaving", "after"))
    said = terminal.close()
    assert "unit 42 done: 512 images in 15.3 s, G 1.31 D 0.62" in said
    assert "round 18" in said
    assert said.rindex(SHOWS) > said.rindex(HIDES)
    # Nothing of the panel is drawn after it was taken away.
    assert said.rindex("round 18") < said.rindex("after")
    assert said.endswith("after\r\n")


def test_a_killed_process_leaves_a_cursor(terminal: Watched) -> None:
    screen = Screen(Output(terminal.stream), Clock())
    screen.tell(STANDING)
    screen.tell(STANDING)
    screen._terminal.close()
    said = terminal.close()
    assert said.rindex(SHOWS) > said.rindex(HIDES)


def test_no_colour_if_so_asked(terminal: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen(Output(terminal.stream), Clock())
    screen.tell(STANDING)
    screen.tell(UnitDone(UNIT))
    screen.tell(STANDING)
    screen.close()
    said = terminal.close()
    assert "G 1.31" in said
    assert not any(f"\x1b[{colour}m" in said for colour in range(30, 48))


def test_it_is_chosen_on_a_terminal_alone(terminal: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    with Log("auto") as log:
        assert log.draws
    with Log("lines") as log:
        assert not log.draws
        assert isinstance(log._shown, Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert not Log("auto").draws
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    assert not Log("auto").draws


def test_a_stopped_terminal_stops_nobody() -> None:
    """As after Ctrl-S: nothing is read, and the terminal's buffer is full."""
    ours, theirs = pty.openpty()
    stream = os.fdopen(theirs, "w", encoding="utf-8")
    aside = Aside(Output(stream))
    for number in range(2 * MOST_WAITING):
        aside.write(f"{number:>200}\n")
    assert not aside.idle
    aside.close()
    assert aside.write("lost") == len("lost")
    os.close(ours)  # writing fails from now on: the thread comes to its end
    aside._waiting.join()
    stream.close()
