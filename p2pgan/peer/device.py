"""Which device trains."""

from __future__ import annotations

import torch

from p2pgan.errors import ConfigError


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
