from __future__ import annotations

import signal

import pytest

from p2pgan.cli.interrupt import asked_to_end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), asked_to_end() as asked:
        assert not asked.is_set()
        signal.raise_signal(number)
        assert asked.is_set()
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """SIGHUP under nohup, SIGINT in the background of a script."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with asked_to_end() as asked:
            signal.raise_signal(number)
            assert not asked.is_set()
    finally:
        signal.signal(number, before)
