"""What the shell asks when somebody presses Tab."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "offered"),
    [("p2pgan jo", {"join"}), ("p2pgan lead --lo", {"--loss", "--log"}), ("p2pgan join --log j", {"json"})],
)
def test_commands_flags_and_values_are_completed(words: str, offered: set[str]) -> None:
    asked = {"_P2PGAN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    told = subprocess.run(
        [sys.executable, "-m", "p2pgan"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert set(told.stdout.split()) == offered
