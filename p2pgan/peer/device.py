"""Which device trains, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from p2pgan.errors import ConfigError
from p2pgan.peer.options import MAX_THREADS


def pick_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the first of CUDA, MPS and the CPU that is there.

    Raises:
        ConfigError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"the device {name} cannot be used here; leave --device out") from error
    return device


@contextmanager
def some_threads(count: int | None) -> Iterator[None]:
    """Within the block torch computes with ``count`` threads; None leaves its own choice.

    Raises:
        ConfigError: nothing can be computed with so many.
    """
    if count is None:
        yield
        return
    if not 1 <= count <= MAX_THREADS:
        raise ConfigError(f"{count} threads cannot train; give 1 to {MAX_THREADS}")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
