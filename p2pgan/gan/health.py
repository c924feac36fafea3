"""Recovery from steps that were not finite."""

from __future__ import annotations

from torch import Tensor

from p2pgan.errors import Trouble, more_about
from p2pgan.gan.trainer import StepStats, Trainer

FAILURES = 3
"""Steps in a row that are not finite, after which going on as before is no use."""
LEAST_PACE = 1 / 16
HOPELESS = 5
"""Ways back in a row, with no sound step between, after which another one is no use: with the fourth the
learning rates are as low as they get, and the fifth says that this did not help either."""
CALM_IMAGES = 20_000
"""Sound images after which a halved learning rate is doubled again."""


class Watch:
    """Looks at the steps of a trainer whose weights are the run's: all it can do is to tell people."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._failures = 0
        """In a row."""
        self._device_batch = trainer.device_batch

    @property
    def fails(self) -> bool:
        """Whether the last step was not finite."""
        return self._failures > 0

    def after(self, stats: StepStats) -> str | None:
        """Looks at a step and does what it takes; what was done, in a line for people."""
        told = self._about_memory(), self._about_numbers(stats)
        return "; ".join(filter(None, told)) or None

    def _about_memory(self) -> str | None:
        if self._trainer.device_batch == self._device_batch:
            return None
        self._device_batch = self._trainer.device_batch
        text = f"memory ran out: {self._device_batch} images at once from now on; the steps stay the same"
        return more_about(text, Trouble.MEMORY)

    def _about_numbers(self, stats: StepStats) -> str | None:
        if stats.finite:
            self._failures = 0
            return self._succeeded(stats.images)
        self._failures += 1
        return self._failed()

    def _succeeded(self, images: int) -> str | None:
        """After a sound step of so many images."""
        return None

    def _failed(self) -> str | None:
        """After a step that was not."""
        if self._failures != FAILURES:
            # Once for all that follow: nothing has changed.
            return None
        text = f"{FAILURES} steps in a row were not finite: such gradients count as none"
        return more_about(text, Trouble.NAN)


class Recovery(Watch):
    """Takes a trainer back to sound weights after ``FAILURES`` failed steps in a row, and slows it down.

    Each time the learning rates are halved, down to a sixteenth; after ``CALM_IMAGES`` sound images they
    are doubled again.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__(trainer)
        self._sound: Tensor | None = None
        self._calm_images = 0

    @property
    def is_hopeless(self) -> bool:
        """Whether going back has helped as little as it can: ``HOPELESS`` times without a sound step."""
        return self._failures >= HOPELESS * FAILURES

    def mark(self, theta: Tensor) -> None:
        """``theta`` are weights to go back to: the last version."""
        self._sound = theta

    def _succeeded(self, images: int) -> str | None:
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

    def _failed(self) -> str | None:
        self._calm_images = 0
        if self._failures % FAILURES or self._sound is None:
            return None
        self._trainer.load(self._sound)
        self._trainer.forget_moments()
        if self._trainer.pace <= LEAST_PACE:
            # Said before; a line for every three steps would hide all others.
            return None
        self._trainer.pace /= 2
        text = (
            f"{FAILURES} steps in a row were not finite: back to the last version, learning rates at "
            f"{self._trainer.pace:g} of the configured ones"
        )
        return more_about(text, Trouble.NAN)
