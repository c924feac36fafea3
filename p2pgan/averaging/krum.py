"""Multi-Krum: the mean of those that have the closest neighbours.

Blanchard et al., "Machine learning with adversaries: Byzantine tolerant gradient descent", 2017;
El Mhamdi et al., "The hidden vulnerability of distributed learning in Byzantium", 2018.
"""

from __future__ import annotations

from torch import Tensor

from p2pgan.averaging.means import Vectors, Weights, norm, weighted_mean


def hostile_assumed(count: int) -> int:
    """The most hostile contributors that Krum stands up to: 2 f + 3 <= n."""
    return max(0, (count - 3) // 2)


def multi_krum(vectors: Vectors, weights: Weights) -> Tensor:
    """The weighted mean of the n - f - 2 vectors that are nearest to their neighbours.

    A vector's score is the sum of its squared distances to the n - f - 2 nearest others; the lowest
    scores are kept, ties in the order of peers' ids. f follows from n by ``hostile_assumed``. Fewer
    than five contributors leave no room for a hostile one: all of them are averaged.
    """
    count, hostile = len(vectors), hostile_assumed(len(vectors))
    if hostile == 0:
        return weighted_mean(vectors, weights)
    kept = sorted(nearest(vectors, hostile)[: count - hostile - 2])
    return weighted_mean([vectors[i] for i in kept], [weights[i] for i in kept])


def nearest(vectors: Vectors, hostile: int) -> list[int]:
    """Indices of the vectors by Krum's score, best first."""
    count = len(vectors)
    squares = [[0.0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i):
            squares[i][j] = squares[j][i] = norm(vectors[i] - vectors[j]) ** 2
    # The first of each sorted row is the distance to itself.
    scores = [sum(sorted(row)[1 : count - hostile - 1]) for row in squares]
    return sorted(range(count), key=scores.__getitem__)
