"""A wall clock that is wrong, for one process, by libfaketime."""

from __future__ import annotations

import shutil
import subprocess

from p2pgan.errors import ConfigError

PROGRAM = "faketime"
_VARIABLES = {"LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC"}


def check_clocks() -> None:
    """Raises ConfigError if libfaketime is not installed."""
    if shutil.which(PROGRAM) is None:
        raise ConfigError(f"a scenario with wrong clocks needs the program {PROGRAM}; install it")


def wrong_clock(ahead_s: float) -> dict[str, str]:
    """The environment of a process whose wall clock is ``ahead_s`` fast; its monotonic clock stays right."""
    # The program itself would stand between the lab and the peer, and take its signals; it knows
    # where its library is.
    shown = subprocess.run(
        [PROGRAM, "-m", "--exclude-monotonic", "-f", f"{ahead_s:+.0f}s", "env"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = (line.partition("=") for line in shown.splitlines())
    return {name: value for name, _, value in lines if name in _VARIABLES}
