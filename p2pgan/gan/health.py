"""Recovery from steps that were not finite, and what the signals of a training say.

The thresholds are explained for people in docs/training.md.
"""

from __future__ import annotations

from torch import Tensor

from p2pgan.gan.trainer import StepStats, Trainer
from p2pgan.gan.units import UnitStats

FAILURES = 3
"""Steps in a row that are not finite, after which going on as before is no use."""
LEAST_PACE = 1 / 16
CALM_IMAGES = 20_000
"""Sound images after which a halved learning rate is doubled again."""

COLLAPSED = 0.05
"""Diversity below which drawn images are nearly one image."""
TOO_SURE = 0.98
"""Mean sign of D on real images above which it has nothing left to learn from them."""
BY_HEART = 0.5
"""Mean sign of D on real images above that on held-out ones by which it knows its images by heart."""
D_FELL = 0.02
"""Distance of D(x) from D(G(z)) below which D tells nothing apart, if G learns nothing either."""
NO_GRADIENT = 1e-6


class Recovery:
    """Takes a trainer back to sound weights after ``FAILURES`` failed steps in a row, and slows it down.

    Each time the learning rates are halved, down to a sixteenth; after ``CALM_IMAGES`` sound images they
    are doubled again.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._sound: Tensor | None = None
        self._failures = 0
        self._calm_images = 0
        self._device_batch = trainer.device_batch

    def mark(self, theta: Tensor) -> None:
        """``theta`` are weights to go back to: the last version."""
        self._sound = theta

    def after(self, stats: StepStats) -> str | None:
        """Looks at a step and does what it takes; what was done, in a line for people."""
        if self._trainer.device_batch != self._device_batch:
            self._device_batch = self._trainer.device_batch
            return f"memory ran out: {self._device_batch} images at once from now on; the steps stay the same"
        if stats.finite:
            self._failures = 0
            return self._calm_down(stats.images)
        self._failures += 1
        self._calm_images = 0
        if self._failures % FAILURES or self._sound is None:
            return None
        return self._go_back()

    def _calm_down(self, images: int) -> str | None:
        if self._trainer.pace == 1.0:
            return None
        self._calm_images += images
        if self._calm_images < CALM_IMAGES:
            return None
        self._calm_images = 0
        self._trainer.pace = min(1.0, 2 * self._trainer.pace)
        return (
            f"{CALM_IMAGES:,} sound images: learning rates at {self._trainer.pace:g} of the configured ones"
        )

    def _go_back(self) -> str | None:
        assert self._sound is not None
        self._trainer.load(self._sound)
        self._trainer.forget_moments()
        if self._trainer.pace <= LEAST_PACE:
            # Said before; a line for every three steps would hide all others.
            return None
        self._trainer.pace /= 2
        return (
            f"{FAILURES} steps in a row were not finite: back to the last version, learning rates at "
            f"{self._trainer.pace:g} of the configured ones"
        )


def warning(stats: UnitStats) -> str | None:
    """What is wrong with a unit's signals, in a line for people; None if nothing is."""
    if stats.diversity is not None and stats.diversity < COLLAPSED:
        return f"drawn images are nearly one image (diversity {stats.diversity:.2f}): G has collapsed"
    if stats.sign_held_out is not None and stats.sign_real - stats.sign_held_out > BY_HEART:
        return (
            f"D knows its images by heart (sign {stats.sign_real:.2f}, held out {stats.sign_held_out:.2f}): "
            "augment, or raise R1"
        )
    if stats.sign_real > TOO_SURE and stats.d_fake < 1 - TOO_SURE:
        return f"D is too sure (D(x) {stats.d_real:.2f}, D(G(z)) {stats.d_fake:.2f}): lower lr_d, or raise R1"
    if abs(stats.d_real - stats.d_fake) < D_FELL and stats.grad_g < NO_GRADIENT:
        return "D tells nothing apart any more and G learns nothing: D has collapsed"
    return None
