"""How a contribution stands to the mean that it went into."""

from __future__ import annotations

import torch
from torch import Tensor

LARGE = 1 << 20
"""Elements of a vector of which a part is enough: an eighth of them tells the cosine to two digits."""
STRETCH, LOOKED_AT = 1000, 125
"""Of so many elements in a row, so many of the first. No power of two, as the sizes of filters are: the same
channels of each would be looked at."""


class Comparison:
    """Of a contribution and the mean, both float32 ``(P,)``, of which blocks are looked at one by one."""

    def __init__(self, contribution: Tensor) -> None:
        self._contribution = contribution
        self._in_part = contribution.numel() >= LARGE
        self._own = self._common = self._product = 0.0

    def look(self, start: int, mean: Tensor) -> None:
        """At the elements from ``start`` on; of a large vector at a part of them."""
        own = self._contribution[start : start + mean.numel()]
        if self._in_part:
            own, mean = _part(own), _part(mean)
        self._own += torch.dot(own, own).item()
        self._common += torch.dot(mean, mean).item()
        self._product += torch.dot(own, mean).item()

    def agreement(self) -> tuple[float, float]:
        """Cosine between them, and their distance in lengths of the mean; NaN where one has no length."""
        own, common, product = self._own, self._common, self._product
        if not own or not common:
            return float("nan"), float("nan")
        # |a - b|^2 = a a - 2 a b + b b; rounding may leave it a little below zero.
        distance: float = max(0.0, own - 2 * product + common)
        return product / (own * common) ** 0.5, (distance / common) ** 0.5


def _part(vector: Tensor) -> Tensor:
    """The first of each stretch; all that is shorter than one."""
    whole = vector.numel() // STRETCH * STRETCH
    return vector[:whole].view(-1, STRETCH)[:, :LOOKED_AT].flatten() if whole else vector
