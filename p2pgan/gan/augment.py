"""Changes that real and drawn images go through alike before the discriminator sees them.

All are differentiable (DiffAugment, Zhao et al., 2020), so the generator learns through them, and
none is applied to what is stored. With little data they keep D from learning its images by heart.
The strength, the probability of each kind for an image, can follow a signal of that (ADA, Karras et
al., 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from p2pgan.gan.config import AugmentConfig
from p2pgan.gan.randomness import generator_for

DRAWS = 10
"""Numbers an image's change is made from."""
BRIGHTEST = 0.5
MOST_SHIFT = 1 / 8
"""Of a side."""
CUT = 1 / 2
"""Of a side."""


def augment_draws(seed: int, epoch: int, start: int, images: int) -> Tensor:
    """Numbers for the changes of a step's images: float32 in [0, 1), shape ``(3, images, DRAWS)``.

    One row each for real images, and for drawn ones in the discriminator's and the generator's step.
    """
    return torch.rand(3, images, DRAWS, generator=generator_for(seed, "augment", epoch, start))


class Augment:
    """The configured changes at their present strength."""

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config
        self.strength = 0.0 if config.adaptive else config.strength

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._config.policy) and self.strength > 0

    @property
    def configured(self) -> bool:
        """Whether there may ever be."""
        return bool(self._config.policy)

    def follow(self, sign: float, images: int) -> None:
        """Where it is adaptive: a little stronger if D is too sure of real images, else a little weaker.

        ``sign`` is the mean sign of D on ``images`` real images.
        """
        if self._config.adaptive:
            step = images / self._config.ramp_images
            step = step if sign > self._config.target else -step
            self.strength = min(self._config.strength, max(0.0, self.strength + step))

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """``images``: float32 ``(n, 3, R, R)``; ``draws``: their numbers, ``(n, DRAWS)``."""
        if not self.active:
            return images
        draws = draws.to(images.device)
        chosen = draws[:, (0, 4, 7)] < self.strength
        if "color" in self._config.policy:
            images = _color(images, chosen[:, 0], draws[:, 1:4])
        if "translation" in self._config.policy:
            images = _translation(images, chosen[:, 1], draws[:, 5:7])
        if "cutout" in self._config.policy:
            images = _cutout(images, chosen[:, 2], draws[:, 8:10])
        return images


def _color(images: Tensor, chosen: Tensor, draws: Tensor) -> Tensor:
    """Brightness by up to 0.5 either way, saturation times 0 to 2, contrast times 0.5 to 1.5."""
    # Where it is not chosen the numbers in the middle are used, which change nothing.
    brightness, saturation, contrast = torch.where(chosen[:, None], draws, 0.5).T[:, :, None, None, None]
    images = images + (brightness - 0.5) * 2 * BRIGHTEST
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    changed: Tensor = mean + (images - mean) * (contrast + 0.5)
    return changed


def _translation(images: Tensor, chosen: Tensor, draws: Tensor) -> Tensor:
    """By whole pixels, up to an eighth of a side; what comes in is grey."""
    side = images.shape[-1]
    most = round(side * MOST_SHIFT)
    shifts = (draws * (2 * most + 1)).long() - most
    shifts = torch.where(chosen[:, None], shifts, 0)
    places = torch.arange(side, device=images.device)
    rows = (places + shifts[:, :1] + most)[:, :, None]
    columns = (places + shifts[:, 1:] + most)[:, None, :]
    number = torch.arange(len(images), device=images.device)[:, None, None]
    padded = F.pad(images, [most] * 4).permute(0, 2, 3, 1)
    return padded[number, rows, columns].permute(0, 3, 1, 2)


def _cutout(images: Tensor, chosen: Tensor, draws: Tensor) -> Tensor:
    """A square of half a side, centred anywhere, becomes grey."""
    side = images.shape[-1]
    half = int(side * CUT) // 2
    centres = (draws * side).long()
    places = torch.arange(side, device=images.device)
    rows = (places - centres[:, :1]).add(half).div(2 * half, rounding_mode="floor") == 0
    columns = (places - centres[:, 1:]).add(half).div(2 * half, rounding_mode="floor") == 0
    hidden = rows[:, :, None] & columns[:, None, :] & chosen[:, None, None]
    return images * (~hidden)[:, None]
