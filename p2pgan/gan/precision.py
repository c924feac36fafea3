"""The numbers the networks compute with: float32, or 16 bits where that is faster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

HIGHEST_SCALE = 2.0**16
GROW_AFTER = 500
"""Steps without an overflow after which fp16's scale is doubled."""


class Precision:
    """Within ``lowered`` networks compute with the configured numbers, within ``full`` with float32.

    Gradients in fp16 vanish if they are small, so the loss is scaled up before the backward pass
    (Micikevicius et al., 2018); ``scale`` is by how much. It is 1 for the others.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._device = device.type
        if name == "auto":
            name = "bf16" if self._device == "cuda" and _computes_bf16() else "fp32"
        self.name = name
        self._lower = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
        self.scale = HIGHEST_SCALE if name == "fp16" else 1.0
        self._sound_steps = 0

    @property
    def is_lowered(self) -> bool:
        """Whether penalties need a pass of their own."""
        return self._lower is not None

    @contextmanager
    def lowered(self) -> Iterator[None]:
        if self._lower is None:
            yield
        else:
            with torch.autocast(self._device, self._lower):
                yield

    @contextmanager
    def full(self) -> Iterator[None]:
        with torch.autocast(self._device, enabled=False):
            yield

    def lower_scale(self) -> bool:
        """After gradients that overflowed: whether a lower scale is worth another try."""
        self._sound_steps = 0
        if self.scale <= 1.0:
            # It was not the scale's fault.
            self.scale = HIGHEST_SCALE if self.name == "fp16" else 1.0
            return False
        self.scale /= 2
        return True

    def step_was_sound(self) -> None:
        """Try a higher scale from time to time."""
        self._sound_steps += 1
        if self._sound_steps >= GROW_AFTER and 1.0 <= self.scale < HIGHEST_SCALE and self.name == "fp16":
            self.scale *= 2
            self._sound_steps = 0


def _computes_bf16() -> bool:
    """Whether the GPU does: an older one only emulates it, which is slower than float32."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
