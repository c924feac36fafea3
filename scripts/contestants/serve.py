"""What all contestants of bench_averaging.py have in common: one process of a group of n.

The process reads lines. ``{"ask": ...}`` is answered by ``{"answer": ...}``, so that the members can
learn each other's addresses; ``{"round": number}`` by when the mean was begun and done (seconds of the
machine's monotonic clock), the processor seconds that all threads took, and where Linux tells it, the most
bytes of memory that the rounds so far took beyond what there was before the first. ``{}`` ends it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from vectors import own_vector

torch.set_num_threads(1)

Average = Callable[[int, Tensor], Tensor]
"""From the round's number and this member's vector to the mean of all."""


def task() -> dict[str, Any]:
    """What this process is to do: its ``place`` among ``n``, ``elements``, and what else was said."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def ask(**what: object) -> Any:
    """Tell the bench something and wait for what it says to it."""
    _say(ask=what)
    return json.loads(sys.stdin.readline())["answer"]


def serve(average: Average, place: int, elements: int, **more: Callable[[], object]) -> None:
    """Do rounds until told to end; ``more`` is asked after each of them and told along."""
    vector = own_vector(place, elements)
    before = _start_of_memory()
    _say(ready=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "round" not in order:
            return
        cpu, began = time.process_time(), time.monotonic()
        mean = average(order["round"], vector)
        done = time.monotonic()
        said = {name: value() for name, value in more.items()}
        if before is not None:
            said["memory"] = _memory("VmHWM") - before
        sample = mean[:: max(1, elements // 64)][:64].double().tolist()
        _say(began=began, done=done, cpu=time.process_time() - cpu, sample=sample, **said)


def _start_of_memory() -> int | None:
    """Bytes that are resident now, from which on the peak counts anew; none where the system cannot tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
    except OSError:
        return None
    return _memory("VmRSS")


def _memory(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _say(**what: object) -> None:
    os.write(_OUT, (json.dumps(what) + "\n").encode())


_OUT = os.dup(1)
os.dup2(2, 1)  # what libraries print is not mistaken for an answer
