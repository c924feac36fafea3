import math

import pytest

from p2pgan.gan.config import ScheduleConfig
from p2pgan.gan.schedule import schedule_factor


def test_constant():
    assert schedule_factor(ScheduleConfig(), 10**9) == 1.0


def test_cosine_falls_in_half_a_wave_to_its_floor():
    config = ScheduleConfig(name="cosine", images=1000, floor=0.2)
    assert schedule_factor(config, 0) == 1.0
    assert schedule_factor(config, 250) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert schedule_factor(config, 500) == pytest.approx(0.6)
    assert schedule_factor(config, 1000) == pytest.approx(0.2)
    assert schedule_factor(config, 5000) == pytest.approx(0.2)


def test_step_multiplies_after_each_period():
    config = ScheduleConfig(name="step", images=100, factor=0.5, floor=0.2)
    assert [schedule_factor(config, images) for images in (0, 99, 100, 199, 200, 300, 900)] == [
        1.0, 1.0, 0.5, 0.5, 0.25, 0.2, 0.2,
    ]  # fmt: skip
