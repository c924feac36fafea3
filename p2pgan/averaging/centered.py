"""CenteredClip: the mean of what is near a robust center.

Karimireddy, He and Jaggi, "Learning from history for Byzantine robust optimization", 2021.
"""

from __future__ import annotations

from statistics import median

from torch import Tensor

from p2pgan.averaging.coordinates import coordinate_median
from p2pgan.averaging.means import Vectors, Weights, combination, norm, shortening

STEPS = 3
"""How often the center moves; the paper finds few enough."""


def centered_clip(vectors: Vectors, weights: Weights) -> Tensor:
    """The center moves by the weighted mean of the vectors' ways from it, each clipped at a radius.

    The paper starts from the last round's outcome and has the radius tuned. An owner keeps nothing
    of the last round, in which its shard may have been another's: so here the center starts at the
    coordinate median and the radius is the median distance from it. While fewer than half of the
    contributors are hostile both are bounded by the honest ones, and each step moves the center by
    the radius at most.
    """
    center = coordinate_median(vectors, weights)
    radius = median(norm(vector - center) for vector in vectors)
    total = sum(weights)
    for _ in range(STEPS):
        ways = [vector - center for vector in vectors]
        factors = [
            weight / total * shortening(norm(way), radius) for way, weight in zip(ways, weights, strict=True)
        ]
        center = center + combination(ways, factors)
    return center
