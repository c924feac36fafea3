"""Adam on a network's part of the flat vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim.adam import adam

from p2pgan.gan.config import OptimizerConfig

EPSILON = 1e-8
"""Adam's, as in the paper."""


class FlatAdam:
    """Adam (Kingma and Ba, 2015): all of a network's parameters are one, and so are their gradients."""

    def __init__(self, theta: Tensor, gradient: Tensor, settings: OptimizerConfig, lr: float) -> None:
        self._parameter, self._gradient = theta, gradient
        self._settings, self._lr = settings, lr
        # One pass over memory where torch has it.
        self._fused = theta.device.type in ("cpu", "cuda")
        self._mean, self._square = torch.zeros_like(theta), torch.zeros_like(theta)
        self._steps = torch.zeros((), device=theta.device if self._fused else "cpu")

    def forget(self) -> None:
        """Start over with the moments."""
        for moment in (self._mean, self._square, self._steps):
            moment.zero_()

    def clear(self) -> None:
        """Before gradients are added up."""
        self._gradient.zero_()

    def unscale(self, scale: float) -> float:
        """Takes a loss's scale out of the gradients; their norm, NaN if one of them is not finite."""
        if scale != 1.0:
            self._gradient.div_(scale)
        # A dot product is several times as fast as torch's norm.
        square: float = torch.dot(self._gradient, self._gradient).item()
        return math.sqrt(square) if math.isfinite(square) else math.nan

    @torch.no_grad()
    def descend(self, factor: float) -> None:
        """One step down the gradients that were added up, at ``factor`` times the learning rate."""
        # The function behind torch.optim.Adam: making the object imports torch's compiler, for seconds.
        adam(
            [self._parameter],
            [self._gradient],
            [self._mean],
            [self._square],
            [],
            [self._steps],
            fused=self._fused,
            amsgrad=False,
            beta1=self._settings.beta1,
            beta2=self._settings.beta2,
            lr=self._lr * factor,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
