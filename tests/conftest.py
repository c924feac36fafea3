from __future__ import annotations

import signal

import pytest
from hypothesis import settings

# No test is timed: machines that run tests have others to serve.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _signals_are_not_ignored() -> None:
    """As in a terminal, also in the background of a script, which ignores SIGINT, and under nohup."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
