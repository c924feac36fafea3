from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from p2pgan.peer.departure import INTERRUPTED, Departure

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def departure() -> Iterator[Departure]:
    made = Departure()
    with made.on_signals():
        yield made


@pytest.mark.parametrize("number", NUMBERS)
def test_the_start_is_interrupted(departure: Departure, number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_running_peer_is_asked_to_leave_once(departure: Departure, number: signal.Signals) -> None:
    asked: list[str] = []
    departure.ask(lambda: asked.append("leave"))
    signal.raise_signal(number)
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)
    assert asked == ["leave"]


def test_a_service_manager_may_send_sigterm_after_sighup(departure: Departure) -> None:
    asked: list[str] = []
    departure.ask(lambda: asked.append("leave"))
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGTERM)
    assert asked == ["leave"]


def test_an_interrupt_that_a_library_swallows_is_not_forgotten(departure: Departure) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        departure.ask(lambda: None)


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Departure().on_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_was_before_comes_back() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with Departure().on_signals():
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_in_another_thread_signals_stay_as_they_are() -> None:
    entered = threading.Event()

    def enter() -> None:
        with Departure().on_signals():
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered.is_set()


INSISTS = """
import signal
from p2pgan.peer.departure import Departure
departure = Departure()
with departure.on_signals():
    departure.ask(lambda: print("leaves", flush=True))
    signal.raise_signal(signal.{first})
    signal.raise_signal(signal.{second})
    print("still here", flush=True)
"""


@pytest.mark.parametrize(("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT")])
def test_who_insists_ends_it_at_once(first: str, second: str) -> None:
    program = INSISTS.format(first=first, second=second)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (INTERRUPTED, "leaves\n")
    assert ended.stderr.startswith("p2pgan: ended at once")
    assert ended.stderr.count("\n") == 1
