"""The images of a run, ready for training: uint8, cropped and scaled once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from p2pgan.averaging.digest import blob_digest


@dataclass(frozen=True)
class Fingerprint:
    """What every peer's images must have in common."""

    count: int
    resolution: int
    digest: str
    """BLAKE3 of all decoded pixels, in order."""


class ImageSet:
    """Decoded images as one array, in memory or mapped from a file."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        """``pixels``: shape ``(count, 3, R, R)``, C order."""
        self._pixels = pixels
        self.count = int(pixels.shape[0])
        self.resolution = int(pixels.shape[2])
        self.fingerprint = Fingerprint(self.count, self.resolution, blob_digest(pixels.reshape(-1).data))

    def batch(self, indices: Tensor) -> Tensor:
        """A copy of some images: uint8, shape ``(len(indices), 3, R, R)``."""
        return torch.from_numpy(np.asarray(self._pixels[indices.numpy()]))
