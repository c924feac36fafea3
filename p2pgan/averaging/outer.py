"""The outer optimizer: from what a round's members put together to the next canonical vector.

What it remembers from one version to the next is part of the canonical state: equal on all peers, named
by the version's digest, and in every snapshot.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Step(Protocol):
    """One step under way: the next version, block by block."""

    weights: Tensor
    """(P,), as far as it has been made."""
    state: Tensor
    """(memory * P,), as far as it has been made."""

    def advance(self, start: int, mean: Tensor) -> Tensor:
        """Make the elements from ``start`` on out of theirs of the mean; the weights among them."""
        ...


class Outer(Protocol):
    """One way to make the next version; the same bits on every machine, in whatever blocks it is made."""

    @property
    def memory(self) -> int:
        """Vectors that it remembers, each as long as the weights."""
        ...

    def begin(self, theta: Tensor, state: Tensor, version: int, images: int) -> Step:
        """Begin the step to ``version``, whose weights and state are fresh float32 CPU vectors.

        ``theta`` and ``state`` are those before it, ``images`` are counted before it. They are moved by the
        mean (P,) to which the members' contributions came. All inputs stay as they are.
        """
        ...


def take_step(
    outer: Outer, theta: Tensor, state: Tensor, mean: Tensor, version: int, images: int
) -> tuple[Tensor, Tensor]:
    """Weights (P,) and state (memory * P,) of ``version``, all at once."""
    step = outer.begin(theta, state, version, images)
    step.advance(0, mean)
    return step.weights, step.state


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

    def begin(self, theta: Tensor, state: Tensor, version: int, images: int) -> Step:
        return _Move(theta, state, self._alpha, self._momentum)


class _Move:
    def __init__(self, theta: Tensor, state: Tensor, alpha: float, momentum: float) -> None:
        self._theta, self._old, self._alpha, self._momentum = theta, state, alpha, momentum
        self.weights = torch.empty_like(theta)
        self.state = torch.empty_like(state) if momentum else state

    def advance(self, start: int, mean: Tensor) -> Tensor:
        block = slice(start, start + mean.numel())
        movement = mean
        if self._momentum:
            movement = outer_step(mean, self._old[block], self._momentum, self.state[block])
        return outer_step(self._theta[block], movement, self._alpha, self.weights[block])


def outer_step(theta: Tensor, mean: Tensor, alpha: float, into: Tensor | None = None) -> Tensor:
    """``theta + alpha * mean`` in ``into`` or a fresh float32 CPU vector, the same bits on every machine.

    Product and sum are two operations, each rounded to float32 as IEEE 754 says. Written as one
    (``torch.add(theta, mean, alpha=alpha)``) they may be fused on one machine and not on another,
    and the members' digests would differ.
    """
    step = mean if alpha == 1.0 else torch.mul(mean, torch.tensor(alpha, dtype=torch.float32))
    return torch.add(theta, step, out=into)
