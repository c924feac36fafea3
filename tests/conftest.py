from __future__ import annotations

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_not_ignored() -> None:
    """As in a terminal, also when a script runs the tests in its background: then SIGINT is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
