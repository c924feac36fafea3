from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.text import Text

from p2pgan import rendezvous
from p2pgan.cli.help import _with_optional_values, optional_value
from p2pgan.cli.main import run
from p2pgan.cli.watch import place_to_show, watch
from p2pgan.errors import RendezvousRefused, RendezvousUnavailable
from tests.unit.cli.test_status import ADA, snapshot

QUICK_S = 0.001


def looks(*outcomes: str | Exception, asked: Event) -> Callable[[], Text]:
    """What each look gives; after the last one somebody asks for the end."""
    left = list(outcomes)

    def look() -> Text:
        outcome = left.pop(0)
        if not left:
            asked.set()
        if isinstance(outcome, Exception):
            raise outcome
        return Text(outcome)

    return look


def watched(*outcomes: str | Exception, terminal: bool = False) -> str:
    out, asked = io.StringIO(), Event()
    console = Console(file=out, force_terminal=terminal, highlight=False, width=100)
    with place_to_show(console) as place:
        watch(looks(*outcomes, asked=asked), place, QUICK_S, asked)
    return out.getvalue()


def test_pages_have_their_time() -> None:
    lines = watched("first", "second").splitlines()
    assert lines[1::2] == ["first", "second"]
    assert all(len(line) == len("12:34:56:") for line in lines[::2])


def test_a_database_that_goes_away_is_said_once_and_waited_for() -> None:
    gone = RendezvousUnavailable("the database at [/]\x1b[2J is away")
    text = watched("first", gone, gone, gone, "back", gone, "back again")
    assert text.count("is away; looking again every") == 2
    assert text.count("back") == 2 and "[/]" in text and "\x1b" not in text


def test_a_terminal_shows_the_last_look_and_why_there_is_no_newer_one() -> None:
    text = watched("first", RendezvousUnavailable("it is away"), terminal=True)
    last = text.rpartition("first")[2]
    assert "it is away" in last


@pytest.mark.parametrize("error", [RendezvousUnavailable("away"), RendezvousRefused("revoked")])
def test_what_is_wrong_at_the_start_ends_it(error: Exception) -> None:
    with pytest.raises(type(error)):
        watched(error)


def test_a_refusal_ends_it_later_too() -> None:
    with pytest.raises(RendezvousRefused):
        watched("first", RendezvousRefused("revoked"), "never")


@pytest.mark.parametrize(
    ("arguments", "filled"),
    [
        (["--watch"], ["--watch", "2"]),
        (["--watch", "5"], ["--watch", "5"]),
        (["--watch", "--json"], ["--watch", "2", "--json"]),
        (["--watch=7", "--json"], ["--watch=7", "--json"]),
        ([], []),
    ],
)
def test_a_missing_number_of_seconds(arguments: list[str], filled: list[str]) -> None:
    assert optional_value("--watch") == "2"
    assert _with_optional_values(arguments) == filled


@pytest.mark.parametrize("seconds", ["0", "-1", "often"])
def test_seconds_that_cannot_be(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--rendezvous", "embedded:x", f"--watch={seconds}"]) == 2
    assert "--watch" in capsys.readouterr().err


def test_ctrl_c_ends_it_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def status(_: int) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return snapshot(ADA)

    @contextmanager
    def opened(_place: str) -> Iterator[SimpleNamespace]:
        row = SimpleNamespace(id=1, name="faces", state="active")
        yield SimpleNamespace(find_run=lambda _: row, status=status)

    monkeypatch.setattr(rendezvous, "open_rendezvous", opened)
    assert run(["status", "--rendezvous", "postgresql://db/gan", "--watch", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["run"] == "faces"
