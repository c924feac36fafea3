"""The rules by which contributions become one vector, and how many hostile ones each stands up to.

=============  ======================================  ==========================
rule           what comes out                          hostile among n, at most
=============  ======================================  ==========================
mean           weighted mean                           0
clip           weighted mean, norms clipped            (n - 1) // 2, harm bounded
trimmed-mean   weighted mean without the ends          (n - 1) // 3
median         middle value                            (n - 1) // 2
multi-krum     weighted mean of the closest            (n - 3) // 2
centered-clip  mean of what is near the median         (n - 1) // 2, harm bounded
=============  ======================================  ==========================

"Harm bounded" is to say that a hostile vector counts, but moves the outcome no further than an
honest one could. The others do not let it count at all, or as a value between honest ones.

Of one or two contributors all rules give the weighted mean, one exactly: among two nobody can tell
who lies, and whatever bounds the larger by the smaller lets a peer that sends nothing silence the
other. Among three, ``clip``, ``median`` and ``centered-clip`` stand up to one. No rule survives a
hostile majority.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from p2pgan.averaging.centered import centered_clip
from p2pgan.averaging.coordinates import coordinate_median, trimmed, trimmed_mean
from p2pgan.averaging.krum import hostile_assumed, multi_krum
from p2pgan.averaging.means import Vectors, Weights, clipped_mean, shares, weighted_mean
from p2pgan.errors import ConfigError

SMALLEST_GROUP = 3
"""Contributors from which on a rule has something to compare."""


@dataclass(frozen=True)
class Rule:
    """One way to make one vector of several."""

    combine: Callable[[Vectors, Weights], Tensor]
    _tolerated: Callable[[int], int]

    def __call__(self, vectors: Vectors, weights: Weights) -> Tensor:
        """A fresh vector of float32; ``vectors`` are finite and in the order of their peers' ids."""
        combine = self.combine if len(vectors) >= SMALLEST_GROUP else weighted_mean
        return combine(vectors, weights)

    def factors(self, weights: Weights) -> list[float] | None:
        """What each vector is multiplied with, where that depends on the weights alone; else None."""
        if self.combine is weighted_mean or len(weights) < SMALLEST_GROUP:
            return shares(weights)
        return None

    def tolerated(self, count: int) -> int:
        """How many of ``count`` contributors may be hostile."""
        return self._tolerated(count) if count >= SMALLEST_GROUP else 0


def _minority(count: int) -> int:
    return (count - 1) // 2


RULES = {
    "mean": Rule(weighted_mean, lambda count: 0),
    "clip": Rule(clipped_mean, _minority),
    "trimmed-mean": Rule(trimmed_mean, trimmed),
    "median": Rule(coordinate_median, _minority),
    "multi-krum": Rule(multi_krum, hostile_assumed),
    "centered-clip": Rule(centered_clip, _minority),
}


def rule(name: str) -> Rule:
    """The rule of that name. Raises ConfigError for an unknown one."""
    try:
        return RULES[name]
    except KeyError:
        raise ConfigError(f"unknown aggregation {name!r}; choose one of {', '.join(RULES)}") from None
