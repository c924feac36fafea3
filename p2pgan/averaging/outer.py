"""The outer optimizer: from what a round's members put together to the next canonical vector.

What it remembers from one version to the next is part of the canonical state: equal on all peers, named
by the version's digest, and in every snapshot.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Outer(Protocol):
    """One way to make the next version; the same bits on every machine."""

    @property
    def memory(self) -> int:
        """Vectors that it remembers, each as long as the weights."""
        ...

    def step(
        self, theta: Tensor, state: Tensor, mean: Tensor, version: int, images: int
    ) -> tuple[Tensor, Tensor]:
        """Weights (P,) and state (memory * P,) of ``version``, fresh float32 CPU vectors.

        ``theta`` and ``state`` are those before it, ``mean`` (P,) is what the members' contributions
        came to, ``images`` are counted before it. The inputs stay as they are.
        """
        ...


class Movement:
    """For ``deltas``: the weights move as the members' weights did, with momentum if there is any.

    ``velocity = momentum * velocity + mean``, ``theta + alpha * velocity`` (heavy ball, Polyak, 1964;
    of averaged deltas: Hsu et al., 2019).
    """

    def __init__(self, alpha: float, momentum: float = 0.0) -> None:
        self._alpha, self._momentum = alpha, momentum

    @property
    def memory(self) -> int:
        return 1 if self._momentum else 0

    def step(
        self, theta: Tensor, state: Tensor, mean: Tensor, version: int, images: int
    ) -> tuple[Tensor, Tensor]:
        if not self._momentum:
            return outer_step(theta, mean, self._alpha), state
        velocity = outer_step(mean, state, self._momentum)
        return outer_step(theta, velocity, self._alpha), velocity


def outer_step(theta: Tensor, mean: Tensor, alpha: float) -> Tensor:
    """``theta + alpha * mean`` as a fresh float32 CPU vector, the same bits on every machine.

    Product and sum are two operations, each rounded to float32 as IEEE 754 says. Written as one
    (``torch.add(theta, mean, alpha=alpha)``) they may be fused on one machine and not on another,
    and the members' digests would differ.
    """
    step = mean if alpha == 1.0 else torch.mul(mean, torch.tensor(alpha, dtype=torch.float32))
    return torch.add(theta, step)
