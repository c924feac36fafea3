"""Which device trains, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from p2pgan.errors import ConfigError
from p2pgan.peer.options import MAX_THREADS


def pick_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the first of CUDA, MPS and the CPU that is there.

    From then on float32 is float32 in this process, see ``_keep_all_digits``.

    Raises:
        ConfigError: torch knows no such device, or this machine has none.
    """
    _keep_all_digits()
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


def _keep_all_digits() -> None:
    """Has GPUs compute float32 with all of its 23 bits, not with the 10 of TF32.

    Torch lets convolutions take TF32 if nobody objects: penalties, drawn images and ``--precision fp32``
    would then be of less precision than they say, and of another one on each kind of GPU.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


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
