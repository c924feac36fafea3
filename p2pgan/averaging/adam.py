"""Adam as an outer optimizer: contributions are gradients, its moments are part of the canonical state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from p2pgan.averaging.outer import Step

EPSILON = 1e-8
"""Adam's, as in the paper."""
GRADIENT_SCALE = 1024.0
"""Contributions are gradients times this, or 16 bits lose the small ones. A power of two: exact."""
BLOCK = 1 << 16
"""Elements that go through all operations at once: they stay in the processor's cache."""

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@dataclass(frozen=True)
class Rate:
    """The learning rate of the elements ``[start, stop)``."""

    start: int
    stop: int
    rate: float


@dataclass(frozen=True)
class _Factors:
    """The scalars of one step, each rounded to float32 once.

    The moments' corrections are in ``rate`` and ``epsilon``, as the paper's section 2 has it.
    """

    beta1: np.float32
    beta2: np.float32
    rest1: np.float32
    rest2: np.float32
    rate: np.float32
    epsilon: np.float32


class Adam:
    """Kingma and Ba, 2015, the same bits on every machine.

    Each operation is rounded to float32 by itself, as IEEE 754 says of products, sums, quotients and
    roots; a fused kernel rounds otherwise on other processors, and the members' digests would differ.
    The first moment is remembered only if ``beta1`` is above 0.
    """

    def __init__(
        self, rates: Sequence[Rate], beta1: float, beta2: float, pace: Callable[[int], float]
    ) -> None:
        """``rates`` are of all elements; ``pace`` is what they are multiplied with after so many images."""
        self._rates, self._beta1, self._beta2, self._pace = rates, beta1, beta2, pace

    @property
    def memory(self) -> int:
        return 2 if self._beta1 else 1

    def begin(self, theta: Tensor, state: Tensor, version: int, images: int) -> Step:
        pace = self._pace(images)
        parts = [(part, self._factors(part.rate * pace, version)) for part in self._rates]
        return _Descent(parts, theta, state)

    def _factors(self, rate: float, version: int) -> _Factors:
        """A version is a step, so its number is Adam's."""
        corrected1 = 1.0 - power(self._beta1, version)
        root2 = math.sqrt(1.0 - power(self._beta2, version))
        f = np.float32
        return _Factors(
            beta1=f(self._beta1),
            beta2=f(self._beta2),
            rest1=f((1.0 - self._beta1) / GRADIENT_SCALE),
            rest2=f((1.0 - self._beta2) / GRADIENT_SCALE**2),
            rate=f(rate * root2 / corrected1),
            epsilon=f(EPSILON * root2),
        )


class _Descent:
    """A step under way."""

    def __init__(self, parts: Sequence[tuple[Rate, _Factors]], theta: Tensor, state: Tensor) -> None:
        self.weights, self.state = torch.empty_like(theta), torch.empty_like(state)
        self._parts, size = parts, theta.numel()
        self._old, self._new = _parts(theta, state, size), _parts(self.weights, self.state, size)

    def advance(self, start: int, mean: Tensor) -> Tensor:
        gradient, stop = mean.numpy(), start + mean.numel()
        for part, factors in self._parts:
            for begin in range(max(part.start, start), min(part.stop, stop), BLOCK):
                block = slice(begin, min(begin + BLOCK, part.stop, stop))
                here = gradient[block.start - start : block.stop - start]
                _descend([v[block] for v in self._old], here, factors, [v[block] for v in self._new])
        return self.weights[start:stop]


def power(base: float, exponent: int) -> float:
    """``base ** exponent`` by products alone: libraries differ in the last bit of a power."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def _parts(theta: Tensor, state: Tensor, size: int) -> list[Array]:
    """Weights, second moments, first moments; the last are none where they are not remembered."""
    return [theta.numpy(), state[:size].numpy(), state[size:].numpy()]


def _descend(old: list[Array], scaled: Array, f: _Factors, new: list[Array]) -> None:
    """One step of a block, from ``old`` to ``new``: weights, second and first moments."""
    theta, square, first = new
    change = scaled * scaled
    change *= f.rest2
    np.multiply(old[1], f.beta2, out=square)
    square += change
    np.sqrt(square, out=change)
    change += f.epsilon
    moved = scaled * f.rest1
    if f.beta1:
        np.multiply(old[2], f.beta1, out=first)
        first += moved
        moved = first
    np.divide(moved, change, out=change)
    change *= f.rate
    np.subtract(old[0], change, out=theta)


def gradient_weight(images: int, total: int) -> float:
    """What a gradient over ``images`` is multiplied with to be its share of a contribution over ``total``."""
    return GRADIENT_SCALE * images / total
