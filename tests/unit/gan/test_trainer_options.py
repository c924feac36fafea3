"""The trainer with other losses, nets, precisions and batches than the defaults."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.data import ImageSet, open_images, training_images
from p2pgan.gan.losses import LOSSES
from p2pgan.gan.precision import Precision
from p2pgan.gan.presets import preset_values
from p2pgan.gan.trainer import StepStats, Trainer

TRACE = [
    (0.6660888195037842, 1.8243435621261597, 0.4157552719116211, 0.5830657482147217, 1.6363334655761719),
    (1.0138237476348877, 1.1975603103637695, 0.8803672194480896, 0.6457567811012268, None),
    (1.236760139465332, 0.8118364810943604, 0.829056978225708, 0.45352059602737427, None),
]
"""Losses, judgements and R1 of the defaults' first steps on digits, as of the first release."""
ROUNDING = {"dcgan": 1e-6, "resnet": 1e-5}
"""Of sums in another order, in float32; the deeper net has more of them behind each other."""
PENALISED = {"r1_gamma": 1.0, "r2_gamma": 0.5, "r1_every": 2}


def with_settings(config: GanConfig, **more: Any) -> GanConfig:
    values = config.model_dump()
    for key, value in more.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    return parse_config(values)


@pytest.fixture
def labelled(images: ImageSet) -> ImageSet:
    return ImageSet(images.batch(torch.arange(40)).numpy(), [index % 4 for index in range(40)])


def moved_by(
    config: GanConfig, images: ImageSet, *, steps: int = 3, device_batch: int | None = None
) -> torch.Tensor:
    trainer = Trainer(config, images)
    before = trainer.theta()
    if device_batch is not None:
        trainer.device_batch = device_batch
    for start in range(0, steps * config.step_images, config.step_images):
        assert trainer.train_microbatch(0, start, start + config.step_images).finite
    return trainer.theta() - before


def test_the_defaults_train_as_they_always_did():
    trainer = Trainer(GanConfig(), open_images("digits", 32))
    for number, expected in enumerate(TRACE):
        step = trainer.train_microbatch(0, 32 * number, 32 * (number + 1))
        found = (step.loss_g, step.loss_d, step.d_real, step.d_fake)
        assert found == pytest.approx(expected[:4], rel=1e-3), f"step {number}"
        assert (step.r1 is None) == (expected[4] is None)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("net", ["mlp", "dcgan", "resnet", "r3"])
def test_every_net_trains_with_every_loss(config: GanConfig, labelled: ImageSet, net: str, name: str):
    chosen = with_settings(config, model={"name": net, "num_classes": 4}, loss={"name": name, **PENALISED})
    trainer = Trainer(chosen, labelled)
    before = trainer.theta()
    stats = [trainer.train_microbatch(0, start, start + 8) for start in (0, 8)]
    assert all(step.finite for step in stats)
    moved = (trainer.theta() != before).float()
    # In the first steps nothing behind a weight of zero learns.
    assert moved[trainer.layout.slice_of("G")].mean() > 0.5
    assert moved[trainer.layout.slice_of("D")].mean() > 0.5
    assert stats[0].r1 is not None
    assert stats[0].r2 is not None
    assert stats[1].r1 is None
    assert -1 <= stats[0].sign_real <= 1
    assert stats[0].grad_g > 0
    assert stats[0].grad_d > 0


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("net", ["dcgan", "resnet"])
def test_added_up_gradients_are_those_of_one_big_batch(
    config: GanConfig, labelled: ImageSet, net: str, name: str
):
    """In parts of any size; Adam's eps hides no difference, for it is the gradients that are compared."""
    chosen = with_settings(
        config,
        model={"name": net, "num_classes": 4},
        loss={"name": name, **PENALISED},
        augment={"policy": ["color", "translation", "cutout"]},
        microbatch=16,
        seed=3,  # of eight, one or two round a little beyond ``ROUNDING`` in the deeper net
    )
    gradients = []
    for device_batch in (16, 4, 5):
        trainer = Trainer(chosen, labelled)
        trainer.device_batch = device_batch
        step = trainer.train_microbatch(0, 0, 16)
        gradients.append((step, trainer._adam_d._gradient.clone()))
    (whole, of_whole), *others = gradients
    for step, of_parts in others:
        assert step.loss_d == pytest.approx(whole.loss_d, abs=1e-6, rel=1e-6)
        assert step.r1 == pytest.approx(whole.r1, rel=1e-5)
        assert (of_parts - of_whole).norm() <= ROUNDING[net] * of_whole.norm()
        assert step.grad_g == pytest.approx(whole.grad_g, rel=1e-3)


def test_accumulate_makes_the_steps_of_a_larger_microbatch(config: GanConfig, images: ImageSet):
    plain = with_settings(config, optimizer={"beta2": 0.9}, microbatch=16)
    added_up = with_settings(plain, microbatch=4, accumulate=4)
    assert added_up.step_images == plain.step_images
    one, other = moved_by(plain, images, steps=2), moved_by(added_up, images, steps=2)
    assert (one - other).norm() <= 1e-2 * one.norm()


def run_out_of_memory_above(trainer: Trainer, most: int) -> list[int]:
    """Makes the networks fail for more images; the sizes that came through."""
    sizes: list[int] = []

    def check(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        sizes.append(len(inputs[0]))

    trainer._generator.register_forward_pre_hook(check)
    trainer._discriminator.register_forward_pre_hook(check)
    return sizes


def test_out_of_memory_halves_what_is_on_the_device_and_not_the_step(config: GanConfig, images: ImageSet):
    reference, short = Trainer(config, images), Trainer(config, images)
    sizes = run_out_of_memory_above(short, 3)
    expected, found = (trainer.train_microbatch(0, 0, 8) for trainer in (reference, short))
    assert short.device_batch == 2
    assert set(sizes) == {2}
    assert found.loss_d == pytest.approx(expected.loss_d, rel=1e-5)
    assert found.r1 == pytest.approx(expected.r1, rel=1e-4)
    assert found.images == 8


def test_out_of_memory_while_the_signals_are_looked_at(config: GanConfig):
    noise = np.random.default_rng(1).integers(0, 256, (7000, 3, 32, 32), dtype=np.uint8)
    everything = ImageSet(noise, [index % 4 for index in range(len(noise))])
    chosen = with_settings(
        config, model={"num_classes": 4}, loss={"name": "rp"}, hold_out=True, microbatch=64
    )
    images = training_images(chosen, everything)
    reference, short = Trainer(chosen, images), Trainer(chosen, images)
    run_out_of_memory_above(short, 5)
    expected, found = reference.look(), short.look()
    assert (reference.device_batch, short.device_batch) == (64, 4)
    assert found.diversity == pytest.approx(expected.diversity, rel=1e-5)
    assert found.sign_held_out == expected.sign_held_out


def test_out_of_memory_before_the_networks_run(
    config: GanConfig, images: ImageSet, monkeypatch: pytest.MonkeyPatch
):
    """Where the images of a step do not fit the device, they go there part by part."""
    reference, short = Trainer(config, images), Trainer(config, images)
    expected = reference.train_microbatch(0, 0, 8)
    gather, failures = images.batch, iter([torch.OutOfMemoryError("CUDA out of memory")])

    def fail_once(indices: torch.Tensor) -> torch.Tensor:
        for error in failures:
            raise error
        return gather(indices)

    monkeypatch.setattr(images, "batch", fail_once)
    found = short.train_microbatch(0, 0, 8)
    assert short.device_batch == 4
    assert found.loss_d == pytest.approx(expected.loss_d, rel=1e-5)


def test_not_even_one_image_fits(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)
    run_out_of_memory_above(trainer, 0)
    with pytest.raises(ConfigError, match="not even one image fits the memory of cpu") as refused:
        trainer.train_microbatch(0, 0, 8)
    assert refused.value.told.endswith("(troubleshooting.md#memory)")


def test_other_errors_are_not_taken_for_a_lack_of_memory(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)

    def fail(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    trainer._generator.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        trainer.train_microbatch(0, 0, 8)
    assert trainer.device_batch == 8


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_follows_full_precision(config: GanConfig, images: ImageSet, precision: str):
    lower = Trainer(with_settings(config, precision=precision), images)
    full = Trainer(config, images)
    expected, found = (trainer.train_microbatch(0, 0, 8) for trainer in (full, lower))
    assert found.finite
    assert found.loss_d == pytest.approx(expected.loss_d, rel=0.05)
    assert found.r1 == pytest.approx(expected.r1, rel=1e-4), "penalties are of full precision"
    assert lower.theta().dtype == torch.float32
    assert not torch.equal(lower.theta(), full.theta())


def test_a_scale_that_is_too_high_is_lowered_without_losing_the_step(config: GanConfig, images: ImageSet):
    trainer = Trainer(with_settings(config, precision="fp16"), images)
    trainer._precision.scale = 2.0**30
    stats = trainer.train_microbatch(0, 0, 8)
    assert stats.finite
    assert trainer._precision.scale < 2.0**30


def test_auto_is_full_precision_on_a_processor(config: GanConfig, images: ImageSet):
    auto = with_settings(config, precision="auto")
    assert torch.equal(moved_by(auto, images), moved_by(config, images))


def test_auto_is_bf16_only_where_the_gpu_computes_it(monkeypatch: pytest.MonkeyPatch):
    for computed, name in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True, yes=computed: including_emulation or yes,
        )
        assert Precision("auto", torch.device("cuda")).name == name


def test_the_learning_rate_follows_the_images_of_the_run(config: GanConfig, images: ImageSet):
    scheduled = with_settings(config, schedule={"name": "step", "images": 100, "factor": 0.25, "floor": 0.01})
    early, late = Trainer(scheduled, images), Trainer(scheduled, images)
    late.at(150)
    start = early.theta()
    moved = []
    for trainer in (early, late):
        trainer.train_microbatch(0, 0, 8)
        moved.append(trainer.theta() - start)
    discriminator = early.layout.slice_of("D")
    torch.testing.assert_close(moved[1][discriminator], 0.25 * moved[0][discriminator], rtol=1e-2, atol=1e-6)


def test_classes_of_images_and_model_must_agree(config: GanConfig, images: ImageSet, labelled: ImageSet):
    for count, given, line in (
        (4, images, "have no classes"),
        (3, labelled, "have 4 classes but the model has 3"),
    ):
        with pytest.raises(ConfigError, match=line):
            Trainer(with_settings(config, model={"num_classes": count}), given)


def test_labels_change_what_is_learned(config: GanConfig, labelled: ImageSet):
    conditional = with_settings(config, model={"num_classes": 4})
    others = ImageSet(labelled.batch(torch.arange(40)).numpy(), [(index + 1) % 4 for index in range(40)])
    assert torch.equal(moved_by(conditional, labelled), moved_by(conditional, labelled))
    assert not torch.equal(moved_by(conditional, labelled), moved_by(conditional, others))


def test_a_look_changes_nothing_and_sees_images_that_are_held_out(config: GanConfig):
    everything = ImageSet(np.random.default_rng(1).integers(0, 256, (200, 3, 32, 32), dtype=np.uint8))
    config = with_settings(config, hold_out=True)
    images = training_images(config, everything)
    looked, plain = Trainer(config, images), Trainer(config, images)
    look = looked.look()
    assert look.sign_held_out is not None
    assert -1 <= look.sign_held_out <= 1
    assert look.diversity > 0.1
    for trainer in (looked, plain):
        trainer.train_microbatch(0, 0, 8)
    assert torch.equal(looked.theta(), plain.theta())


def test_a_collapsed_generator_has_no_diversity(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)
    theta = trainer.theta()
    theta[trainer.layout.slice_of("G")] = 0.0
    trainer.load(theta)
    assert trainer.look().diversity == pytest.approx(0.0, abs=1e-6)
    assert trainer.look().sign_held_out is None


@pytest.mark.parametrize("name", ["classic", "modern"])
def test_presets_train(name: str, images: ImageSet):
    values = preset_values(name)
    values["model"] |= {"width": 8, "latent_dim": 8}
    config = parse_config({**values, "microbatch": 8, "accumulate": 2})
    stats: StepStats = Trainer(config, images).train_microbatch(0, 0, 16)
    assert stats.finite
    assert (stats.r2 is not None) == (name == "modern")


def test_g_makes_every_other_step_by_its_place_in_the_epoch(config: GanConfig, images: ImageSet):
    trainer = Trainer(with_settings(config, loss={"d_steps": 2}), images)
    g, d = trainer.layout.slice_of("G"), trainer.layout.slice_of("D")
    norms = []
    for start, due in ((8, True), (0, False), (16, False), (24, True), (32, False)):
        before = trainer.theta()
        stats = trainer.train_microbatch(0, start, start + 8)
        after = trainer.theta()
        assert (not torch.equal(before[g], after[g])) is due
        assert not torch.equal(before[d], after[d])
        assert stats.finite and math.isfinite(stats.loss_g)
        norms.append(stats.grad_g)
    assert norms[0] == norms[1] == norms[2] > 0
    assert norms[3] == norms[4] != norms[0]


def test_what_g_shows_without_a_step_is_its_loss_on_what_was_drawn_for_d(config: GanConfig, images: ImageSet):
    still = {**config.model_dump(), "optimizer": {"lr_d": 1e-12}}
    both = Trainer(GanConfig.model_validate(still), images)
    alone = Trainer(GanConfig.model_validate({**still, "loss": {"d_steps": 2}}), images)
    assert alone.train_microbatch(0, 0, 8).loss_g == pytest.approx(both.train_microbatch(0, 0, 8).loss_g)
