from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from p2pgan.gan import health
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.health import Recovery, Watch
from p2pgan.gan.signals import Warner, collapsed, warning
from p2pgan.gan.trainer import StepStats, Trainer
from p2pgan.gan.units import UnitStats

SOUND = StepStats(8, 1.0, 0.5, 0.6, 0.4, None, finite=True)
FAILED = StepStats(8, float("nan"), float("nan"), 0.5, 0.5, None, finite=False)
HEALTHY = UnitStats(
    1, 0, 512, 3.0, 1.0, 1.2, 0.6, 0.4, 0, sign_real=0.5, grad_g=1.0, grad_d=1.0, diversity=0.6
)


@pytest.fixture
def trainer(config: GanConfig, images: ImageSet) -> Trainer:
    return Trainer(config, images)


def test_three_failures_in_a_row_go_back_and_slow_down(trainer: Trainer):
    recovery = Recovery(trainer)
    version = trainer.theta()
    recovery.mark(version)
    trainer.train_microbatch(0, 0, 8)
    assert [recovery.after(step) for step in (FAILED, FAILED, SOUND, FAILED, FAILED)] == [None] * 5
    assert trainer.pace == 1.0
    said = recovery.after(FAILED)
    assert said is not None
    assert "back to the last version, learning rates at 0.5" in said
    assert torch.equal(trainer.theta(), version)
    assert trainer.pace == 0.5


def test_the_moments_that_a_failure_may_have_spoiled_are_forgotten(config: GanConfig, images: ImageSet):
    fresh, recovered = Trainer(config, images), Trainer(config, images)
    recovery = Recovery(recovered)
    recovery.mark(recovered.theta())
    recovered.train_microbatch(0, 0, 8)
    for _ in range(3):
        recovery.after(FAILED)
    recovered.pace = 1.0
    for trainer in (fresh, recovered):
        trainer.train_microbatch(0, 8, 16)
    assert torch.equal(fresh.theta(), recovered.theta())


def test_the_pace_falls_to_a_sixteenth_and_is_said_no_more_often(trainer: Trainer):
    recovery = Recovery(trainer)
    recovery.mark(trainer.theta())
    said = [recovery.after(FAILED) for _ in range(30)]
    assert trainer.pace == 1 / 16
    assert len([line for line in said if line]) == 4


def test_the_pace_comes_back_after_sound_images(trainer: Trainer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "CALM_IMAGES", 16)
    recovery = Recovery(trainer)
    recovery.mark(trainer.theta())
    for _ in range(6):
        recovery.after(FAILED)
    assert trainer.pace == 0.25
    said = [recovery.after(SOUND) for _ in range(6)]
    assert trainer.pace == 1.0
    assert [line is not None for line in said] == [False, True, False, True, False, False]


def test_a_slower_pace_makes_smaller_steps(config: GanConfig, images: ImageSet):
    full, half = Trainer(config, images), Trainer(config, images)
    half.pace = 0.5
    start = full.theta()
    for trainer in (full, half):
        trainer.train_microbatch(0, 0, 8)
    d = full.layout.slice_of("D")
    torch.testing.assert_close(
        (half.theta() - start)[d], 0.5 * (full.theta() - start)[d], rtol=1e-2, atol=1e-6
    )


def test_a_smaller_batch_on_the_device_is_said_once(trainer: Trainer):
    recovery = Recovery(trainer)
    trainer.device_batch = 4
    said = "memory ran out: 4 images at once from now on; the steps stay the same (troubleshooting.md#memory)"
    assert recovery.after(SOUND) == said
    assert recovery.after(SOUND) is None


def test_a_lack_of_memory_hides_no_failure(trainer: Trainer):
    recovery = Recovery(trainer)
    recovery.mark(trainer.theta())
    recovery.after(FAILED)
    recovery.after(FAILED)
    trainer.device_batch = 4
    said = recovery.after(FAILED)
    assert said is not None
    assert "memory ran out" in said and "back to the last version" in said
    assert trainer.pace == 0.5


def test_where_there_is_nothing_to_go_back_to_it_is_said_once_in_a_row(trainer: Trainer):
    watch = Watch(trainer)
    start = trainer.theta()
    said = [watch.after(step) for step in (FAILED, FAILED, SOUND, *[FAILED] * 7, SOUND, *[FAILED] * 3)]
    assert [number for number, text in enumerate(said) if text] == [5, 13]
    line = "3 steps in a row were not finite: such gradients count as none (troubleshooting.md#nan)"
    assert said[5] == said[13] == line
    assert torch.equal(trainer.theta(), start)
    assert trainer.pace == 1.0


def test_real_failures_are_recovered_from(trainer: Trainer):
    """Weights that overflow fail for good; after going back, training goes on."""
    recovery = Recovery(trainer)
    sound = trainer.theta()
    recovery.mark(sound)
    broken = sound.clone()
    broken[trainer.layout.slice_of("D")] = 1e30
    trainer.load(broken)
    finite = []
    for start in (0, 8, 16, 24):
        stats = trainer.train_microbatch(0, start, start + 8)
        recovery.after(stats)
        finite.append(stats.finite)
    assert finite == [False, False, False, True]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, None),
        ({"diversity": 0.02}, "G has collapsed"),
        ({"sign_real": 0.9, "sign_held_out": 0.1}, "by heart"),
        ({"sign_real": 0.9, "sign_held_out": 0.8}, None),
        ({"sign_real": 1.0, "d_real": 1.0, "d_fake": 0.001}, "too sure"),
        ({"d_real": 0.5, "d_fake": 0.5, "grad_g": 0.0}, "D has collapsed"),
        ({"d_real": 0.5, "d_fake": 0.5}, None),
    ],
)
def test_signals_that_are_wrong_are_named(change: dict[str, float], line: str | None):
    said = warning(replace(HEALTHY, **change), is_relative=False)  # type: ignore[arg-type]  # of several types
    if line is None:
        assert said is None
    else:
        assert said is not None
        assert line in said
        assert collapsed(replace(HEALTHY, **change)) == ("collapsed" in line)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("is_relative", [False, True])
def test_how_sure_d_is_tells_the_loss(is_relative: bool):
    """Logits of a relative loss may be shifted by whatever: D(G(z)) says nothing then."""
    shifted = replace(HEALTHY, sign_real=0.99, d_real=0.9, d_fake=0.3)
    said = warning(shifted, is_relative)
    assert said == ("D is too sure (sign 0.99): lower lr_d, or raise R1" if is_relative else None)
    assert warning(replace(shifted, sign_real=0.97), is_relative) is None
    said = warning(replace(shifted, d_fake=0.01), is_relative)
    assert said is not None and said.startswith("D is too sure")


def test_what_is_wrong_is_said_once_for_as_long_as_it_lasts():
    warner = Warner(is_relative=False)
    seen = [0.6, 0.02, 0.03, 0.01, 0.6, 0.04]
    said = [warner.after(replace(HEALTHY, diversity=diversity)) for diversity in seen]
    assert [number for number, text in enumerate(said) if text] == [1, 5]
    assert said[1] == warning(replace(HEALTHY, diversity=0.02), is_relative=False)
    other = warner.after(replace(HEALTHY, d_real=0.5, d_fake=0.5, grad_g=0.0))
    assert other is not None and "D has collapsed" in other


def test_signals_in_a_line():
    assert HEALTHY.signals == "D(x) 0.60 D(G(z)) 0.40, sign 0.50, gradients 1 1, diversity 0.60"
    full = replace(HEALTHY, sign_held_out=0.25, r1=0.0123)
    assert "sign 0.50, held out 0.25, R1 0.012, gradients" in full.signals
