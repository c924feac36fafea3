"""Named moments at which this process can be made to kill or freeze itself: how tests and labs aim a fault.

The environment variable ``P2PGAN_FAIL_AT`` holds the name of a moment, or the path of a file that
may come to hold one while the peer runs. The process then sends itself SIGKILL; ``MOMENT:SIGSTOP``
freezes it instead. Tests and labs set the variable for the peers they start, nobody else does;
without it a moment passes unnoticed.

In the same way ``P2PGAN_POISON`` is the path of a file: while it is there, this process poisons the
rounds that it takes part in.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Literal

VARIABLE = "P2PGAN_FAIL_AT"
POISON = "P2PGAN_POISON"
POISONED = -10.0
"""What a poisoned contribution is multiplied by: it pulls the other way, and ten times as far."""

Moment = Literal[
    "planning",  # a plan is on its way to one member, others have not got it
    "training",  # spans were just handed to the training thread
    "exchange",  # a slice of the contribution is on its way, others are still to go
    "result",  # a reduced shard is on its way to one member, others still wait for it
    "staging",  # a commit is due, none of it has left
    "commit",  # the chunks are staged, the transaction has not begun
    "announce",  # the transaction is through, nobody knows
    "drawing",  # images that somebody asked for are drawn, none has left
]


def pass_by(moment: Moment) -> None:
    """Send this process the signal that it was told to send itself at this moment, if any."""
    told = os.environ.get(VARIABLE)
    if told is None:
        return
    # The file may come later, or go while we look; or the variable holds the moment itself.
    with suppress(FileNotFoundError):
        told = Path(told).read_text()
    name, _, wanted = told.partition(":")
    if name == moment:
        os.kill(os.getpid(), signal.Signals[wanted or "SIGKILL"])


def poisons() -> bool:
    """Whether this process was told to send what harms instead of what it learned."""
    told = os.environ.get(POISON)
    return told is not None and Path(told).exists()
