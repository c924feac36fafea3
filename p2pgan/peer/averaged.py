"""The averaged generator of the version that somebody orders images of."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from p2pgan.errors import RendezvousUnavailable, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.sampling import Generator
from p2pgan.protocol.messages import DrawRequest

LOAD_EVERY_S = 30.0
"""At most so often weights are read from the rendezvous for it, whoever asks for how many versions."""


class AveragedGenerators:
    """Holds the generator that was asked for last. Used by the drawing thread alone."""

    def __init__(
        self,
        gan: GanConfig,
        device: torch.device,
        load: Callable[[int], Tensor],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``load`` reads that of a version from the rendezvous: float32 (P_G,)."""
        self._gan, self._device, self._load, self._clock = gan, device, load, clock
        self._loaded_at: float | None = None
        self._held: Generator | None = None

    def of(self, request: DrawRequest, ema: Tensor | None) -> Generator:
        """The generator that ``request`` names, of ``ema`` (None: this peer does not have the version here).

        Raises:
            WeightsError: that version has other weights, or is not stored any more.
            RendezvousUnavailable: it cannot be loaded now.
        """
        if self._held is None or self._held.digest != request.digest:
            self._held = None  # or there were two at a time
            vector = self._loaded(request.version) if ema is None else ema
            generator = Generator(self._gan, vector, self._device)
            if generator.digest != request.digest:
                raise WeightsError(f"it has other weights of version {request.version}")
            self._held = generator
        self._held.batch_size = request.images
        return self._held

    def _loaded(self, version: int) -> Tensor:
        now = self._clock()
        if self._loaded_at is not None and now - self._loaded_at < LOAD_EVERY_S:
            raise RendezvousUnavailable("it loaded other weights a moment ago")
        self._loaded_at = now
        return self._load(version)
