"""All randomness of training, as functions of the run's seed and of where in an epoch we are.

Whoever trains a span draws the same images in the same order with the same noise, so work can
move between peers, and two peers' results can be compared.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from blake3 import blake3
from torch import Tensor


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from names and numbers; different parts give unrelated seeds."""
    text = "/".join(map(str, parts))
    return int.from_bytes(blake3(text.encode()).digest(length=8), "little") >> 1


def generator_for(*parts: int | str) -> torch.Generator:
    """A CPU random generator seeded by ``derive_seed(*parts)``."""
    return torch.Generator().manual_seed(derive_seed(*parts))


@lru_cache(maxsize=4)
def epoch_permutation(seed: int, epoch: int, count: int) -> Tensor:
    """The order in which an epoch visits the images: int64, shape ``(count,)``. Do not write to it.

    Sorts raw output of PCG64, whose stream numpy promises to keep; the shuffles of numpy and torch
    carry no such promise, and peers with different releases would train different images under the
    same positions.
    """
    keys = np.random.PCG64(derive_seed(seed, "permutation", epoch)).random_raw(count)
    return torch.from_numpy(np.argsort(keys, kind="stable").astype(np.int64, copy=False))


def microbatch_latents(seed: int, epoch: int, start: int, images: int, latent_dim: int) -> Tensor:
    """Noise of the microbatch that starts at a position: float32, shape ``(images, latent_dim)``."""
    source = generator_for(seed, "latents", epoch, start)
    return torch.randn(images, latent_dim, generator=source)


def image_latents(seed: int, first: int, images: int, latent_dim: int) -> Tensor:
    """Noise of drawn images ``first ...``: each row depends on the seed and its index alone."""
    rows = [
        torch.randn(latent_dim, generator=generator_for(seed, "image", index))
        for index in range(first, first + images)
    ]
    return torch.stack(rows)
