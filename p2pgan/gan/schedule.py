"""How the learning rates fall while a run goes on."""

from __future__ import annotations

import math

from p2pgan.gan.config import ScheduleConfig


def schedule_factor(config: ScheduleConfig, images: int) -> float:
    """What both learning rates are multiplied with once the run has counted ``images``.

    ``cosine`` goes from 1 to the floor in half a wave (Loshchilov and Hutter, 2017); ``step`` multiplies
    by the factor after each period, down to the floor.
    """
    if config.name == "cosine":
        way = min(1.0, images / config.images)
        return config.floor + (1 - config.floor) * (1 + math.cos(math.pi * way)) / 2
    if config.name == "step":
        return max(config.floor, config.factor ** (images // config.images))
    return 1.0
