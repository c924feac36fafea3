"""Precision and recall of drawn images (Kynkaanniemi et al., 2019).

Each set is taken to cover what is no farther from one of its images than that image's third nearest
neighbour in the set. Precision is the part of the drawn images that the real ones cover, recall the part
of the real ones that the drawn ones cover.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

NEIGHBOUR = 3
"""Which nearest neighbour of an image ends what it covers; a set needs one image more."""
ENTRIES = 10_000_000
"""Distances at once: 80 MB."""
ROUNDING = 1e-10
"""Relative to the largest squared feature vector: closer than this is equal."""


def precision_and_recall(drawn: Tensor, real: Tensor) -> tuple[float, float]:
    """Of features ``(n, d)`` and ``(m, d)``, at least four rows each; Euclidean distances in float64."""
    centre = real.double().mean(dim=0)  # distances stay, and there is less to cancel out
    x, y = drawn.double() - centre, real.double() - centre
    slack = ROUNDING * max(float(x.square().sum(1).max()), float(y.square().sum(1).max()))
    reach_x, reach_y = _reach(x) + slack, _reach(y) + slack
    covered_x = torch.zeros(len(x), dtype=torch.bool)
    covered_y = torch.zeros(len(y), dtype=torch.bool)
    for start, distances in _squared_distances(x, y):
        rows = slice(start, start + len(distances))
        covered_x[rows] = (distances <= reach_y).any(1)
        covered_y |= (distances <= reach_x[rows, None]).any(0)
    return float(covered_x.double().mean()), float(covered_y.double().mean())


def _reach(features: Tensor) -> Tensor:
    """Squared distances to the third nearest neighbour, ``(n,)``; the nearest of all is the image itself."""
    return torch.cat(
        [distances.kthvalue(NEIGHBOUR + 1).values for _, distances in _squared_distances(features, features)]
    )


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Some rows of the matrix of ``(n, m)`` at a time, with the number of the first."""
    rows = max(1, ENTRIES // len(y))
    lengths = y.square().sum(1)
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        distances = (part @ y.T).mul_(-2).add_(lengths).add_(part.square().sum(1, keepdim=True))
        yield start, distances.clamp_(min=0)
