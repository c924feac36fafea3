"""Noise that is not drawn afresh: cut off at its ends, or on a way between drawn points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from p2pgan.errors import ConfigError
from p2pgan.gan.randomness import image_latents

STOPS = 4
"""Drawn points that a walk visits before it is back where it began."""


def drawn_latents(seed: int, first: int, images: int, latent_dim: int, truncation: float | None) -> Tensor:
    """Noise of images ``first ...``, float32 ``(images, latent_dim)``; each row depends on seed and index.

    Raises ConfigError for a ``truncation`` that is not above 0.
    """
    latents = image_latents(seed, first, images, latent_dim)
    return latents if truncation is None else truncated(latents, truncation)


def truncated(latents: Tensor, truncation: float) -> Tensor:
    """Normal noise as normal noise without what is further than ``truncation`` from 0.

    Brock et al., "Large scale GAN training for high fidelity natural image synthesis", 2019, draw such
    values anew. Here each keeps its rank: it moves towards 0, so that an image stays recognisable and
    another truncation changes it gradually. Raises ConfigError if ``truncation`` is not above 0.
    """
    if not truncation > 0:
        raise ConfigError(f"--truncation {truncation:g} leaves no noise; give a number above 0, such as 1.5")
    low = torch.special.ndtr(torch.tensor(-truncation, dtype=torch.float64))
    ranks = torch.special.ndtr(latents.double())
    kept: Tensor = torch.special.ndtri(low + ranks * (1 - 2 * low))
    return kept.clamp(-truncation, truncation).to(torch.float32)


def between(start: Tensor, end: Tensor, way: float) -> Tensor:
    """A point on the great arc from ``start`` (0) to ``end`` (1); vectors along the last dimension.

    White, "Sampling generative networks", 2016: points on the straight line are nearer to 0 than noise
    ever is in many dimensions, and the generator never learned what to draw there.
    """
    if way == 0.0:
        return start
    cosine = torch.nn.functional.cosine_similarity(start.double(), end.double(), dim=-1)
    angle = cosine.clamp(-1.0, 1.0).arccos().unsqueeze(-1)
    sine = angle.sin()
    a, b = ((1 - way) * angle).sin() / sine, (way * angle).sin() / sine
    # Vectors in one line, or of one element, have no arc between them.
    straight = sine.abs() < 1e-6
    a, b = a.where(~straight, 1 - way), b.where(~straight, way)
    return (a * start.double() + b * end.double()).to(torch.float32)


def walk_point(stops: Tensor, way: float) -> Tensor:
    """Where walks through ``stops``, ``(STOPS, n, latent_dim)``, and back are at ``way`` in [0, 1)."""
    leg, part = divmod(way * len(stops), 1.0)
    here = int(leg) % len(stops)
    # A cosine in time: it lingers at the points it visits.
    return between(stops[here], stops[(here + 1) % len(stops)], (1 - math.cos(math.pi * part)) / 2)
