"""Named moments at which this process can be made to kill itself: how tests aim a ``kill -9``.

The environment variable ``P2PGAN_FAIL_AT`` holds the name of a moment, or the path of a file that
may come to hold one while the peer runs. Nobody sets it in earnest; without it a moment passes
unnoticed.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

VARIABLE = "P2PGAN_FAIL_AT"

Moment = Literal[
    "training",  # spans were just handed to the training thread
    "exchange",  # a slice of the contribution is on its way, others are still to go
    "result",  # a reduced shard is on its way to one member, others still wait for it
    "staging",  # a commit is due, none of it has left
    "commit",  # the chunks are staged, the transaction has not begun
    "announce",  # the transaction is through, nobody knows
]


def pass_by(moment: Moment) -> None:
    """End this process without a word, as ``kill -9`` would, if it was told to at this moment."""
    told = os.environ.get(VARIABLE)
    if told is None:
        return
    file = Path(told)
    if moment == told or (file.is_file() and file.read_text() == moment):
        os.kill(os.getpid(), signal.SIGKILL)
