"""What to do when a device has no memory left, and how much it holds."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is torch's way, on any device, to say that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return "out of memory" in text or "can't allocate memory" in text


def give_memory_back(device: torch.device) -> None:
    """Lets the device's allocator start afresh: what it keeps may be in pieces of the wrong size."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
