"""``p2pgan train`` on a real terminal: it draws while it trains, and Ctrl-C leaves the terminal whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminals import Terminal

DEADLINE_S = 120.0
COMMAND = [sys.executable, "-m", "p2pgan", "train", "--dataset", "digits", "--threads", "1"]
SMALL = ["--set", "gan.model.width=8", "--set", "gan.microbatch=16", "--set", "gan.model.latent_dim=16"]


@pytest.mark.parametrize("columns", [100, 30])
def test_training_is_drawn(columns: int, tmp_path: Path) -> None:
    with Terminal(columns) as terminal:
        training = subprocess.Popen(
            [*COMMAND, *SMALL, "--epochs", "1000", "--out", str(tmp_path / "out")],
            stdin=terminal.theirs,
            stdout=terminal.theirs,
            stderr=terminal.theirs,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        try:
            terminal.until("training ", DEADLINE_S)  # the bar of the whole
            terminal.until("unit 3 done: 512 images", DEADLINE_S)
            terminal.type("\x03")
            terminal.until("losses.csv", DEADLINE_S)
            assert training.wait(DEADLINE_S) == 0
        finally:
            training.kill()
            training.wait()
        assert terminal.is_whole
        after = terminal.shown[terminal.shown.rindex("stopped after") :]
        assert "\x1b" not in after.replace("\r\n", "")


def _own_terminal() -> None:
    """The new session's terminal is its standard input, so that keys typed there become signals."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
