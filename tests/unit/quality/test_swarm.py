"""Peers in one process: nothing is counted twice, and what they do is what the averaging does."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from p2pgan.averaging.finite import is_finite
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.scores.builtin import builtin_extractor
from p2pgan.gan.trainer import Trainer
from scripts.bench_quality import (
    Result,
    _training,
    chosen_arms,
    gap_closed,
    keep_settings,
    settings_of,
    table,
)
from scripts.quality.swarm import ARMS, CLEAN, FOUR_TIMES, ONE, PRESETS, Arm, Swarm, Work

CONFIG = GanConfig.model_validate({"model": {"width": 8, "latent_dim": 8}, "microbatch": 2})


@pytest.fixture(scope="module")
def images() -> ImageSet:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    return ImageSet(pixels, [index % 8 for index in range(64)])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Noting(Trainer):
    """Notes its steps, and makes none."""

    def train_microbatch(self, epoch: int, start: int, stop: int) -> None:  # type: ignore[override]  # none
        self.steps = [*getattr(self, "steps", []), (epoch, start, stop)]


def _steps(
    arm: Arm, images: ImageSet, monkeypatch: pytest.MonkeyPatch, steps: int
) -> list[list[tuple[int, ...]]]:
    monkeypatch.setattr("scripts.quality.swarm.Trainer", Noting)
    swarm = Swarm(arm, CONFIG, images, steps)
    assert list(swarm.rounds())[-1] == 1.0
    return [getattr(trainer, "steps", []) for trainer in swarm.trainers]


def test_each_step_of_an_epoch_is_done_once(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _steps(replace(CLEAN, every=2), images, monkeypatch, 8)
    assert sorted(sum(done, [])) == [(0, start, start + 2) for start in range(0, 64, 2)]
    assert [len(own) for own in done] == [8] * 4


def test_what_a_dead_leader_had_is_done_again(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = Arm("", every=2, dies=0.5)
    done = _steps(arm, images, monkeypatch, 8)
    assert [len(own) for own in done] == [6, 8, 8, 8]
    assert done[0][4:] == done[1][6:8], "the two that were lost, in the next round"
    assert len(set(sum(done, []))) == 28


def test_who_is_faster_does_more_in_a_round(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _steps(Arm("", every=4, speeds=(1, 1, 2, 4)), images, monkeypatch, 4)
    assert [len(own) for own in done] == [2, 2, 4, 8]


def test_a_late_joiner_misses_the_first_half(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(own) for own in _steps(Arm("", every=2, joins=0.5), images, monkeypatch, 8)] == [8, 8, 8, 4]


def _with_classes(images: ImageSet, classes: int) -> ImageSet:
    """The same images; 0: without classes."""
    pixels = images.batch(torch.arange(images.count)).numpy()
    return ImageSet(pixels, [index % classes for index in range(len(pixels))] if classes else [])


def _with_pixels(images: ImageSet, value: int) -> ImageSet:
    return ImageSet(np.full((images.count, 3, 32, 32), value, dtype=np.uint8))


def _labels(classes: Literal["own", "two"], images: ImageSet) -> list[list[int]]:
    swarm = Swarm(Arm("", classes=classes), CONFIG, images, 1)
    list(swarm.rounds())
    return [t.images.labels_of(torch.arange(t.images.count)).unique().tolist() for t in swarm.trainers]


def test_own_classes_are_disjoint(images: ImageSet) -> None:
    assert _labels("own", images) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_two_classes_are_two_however_many_there_are(images: ImageSet) -> None:
    ten = _with_classes(images, 10)
    assert _labels("two", ten) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert max(map(len, _labels("own", ten))) > 2


def test_an_arm_for_which_classes_are_lacking_is_left_out(
    images: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen_arms(["classes"], images) == [arm for arm in ARMS if "classes" in arm.name]
    assert capsys.readouterr().out == ""
    assert chosen_arms(["classes", "H = 20"], _with_classes(images, 0)) == [CLEAN]
    assert capsys.readouterr().out.splitlines() == [
        "left out: 'own classes each' needs 2 classes, and the data set has none",
        "left out: 'two classes each' needs 8 classes, and the data set has none",
    ]


def test_a_lone_peer_is_a_plain_training(images: ImageSet) -> None:
    swarm = Swarm(replace(ONE, every=3), CONFIG, images, 6)
    assert list(swarm.rounds()) == [0.5, 1.0]
    trainer = Trainer(CONFIG, images)
    for start in range(0, 12, 2):
        trainer.train_microbatch(0, start, start + 2)
    assert torch.allclose(swarm.theta, trainer.theta(), atol=1e-5)


@pytest.mark.parametrize("sync", ["deltas", "gradients"])
def test_peers_that_do_the_same_move_as_one(
    sync: Literal["deltas", "gradients"], images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal contributions have themselves as their mean, whatever the rule and the number of peers."""
    monkeypatch.setattr(Work, "take", lambda work, count: list(range(count)))
    moved = []
    for peers in (1, 4):
        swarm = Swarm(Arm("", peers=peers, every=3, sync=sync, wire="fp32"), CONFIG, images, 6)
        list(swarm.rounds())
        moved.append(swarm.theta)
    assert not torch.equal(moved[0], Trainer(CONFIG, images).theta())
    assert torch.allclose(*moved, atol=1e-6)


def test_a_peer_that_sends_nan_is_left_out(images: ImageSet) -> None:
    swarm = Swarm(Arm("", every=1, spoils=0.5), CONFIG, images, 4)
    list(swarm.rounds())
    assert (swarm.rejected, swarm.images) == (2, (4 + 4 + 3 + 3) * 2)
    assert is_finite(swarm.theta)


def test_without_averaging_g_each_peer_keeps_its_own(images: ImageSet) -> None:
    swarm = Swarm(Arm("", every=1, averaged="D"), CONFIG, images, 2)
    next(swarm.rounds())
    generators = [base[swarm.layout.slice_of("G")] for base in swarm._bases]
    critics = [base[swarm.layout.slice_of("D")] for base in swarm._bases]
    assert not torch.equal(generators[0], generators[1])
    assert torch.equal(critics[0], critics[1])


def test_what_eight_bits_lose_comes_with_the_next_round(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, step = 40, torch.randn(Trainer(CONFIG, images).layout.size) * 1e-3
    monkeypatch.setattr(Swarm, "_train", lambda _swarm, _peer, _steps: step)
    swarm = Swarm(Arm("", every=1, wire="int8"), CONFIG, images, rounds)
    began = swarm.theta
    list(swarm.rounds())
    lost = (swarm.theta - began - rounds * step).abs().max()
    assert 0 < lost < 3 * step.abs().max() / 127, "two residuals, not one for each round"


def test_a_preset_sees_as_many_images_as_four_peers() -> None:
    told = argparse.Namespace(width=8, rate=1e-3, batch=8, steps=400, resolution=64)
    config, steps = _training(CLEAN, 1, told)
    assert (config.microbatch, steps) == (8, 400)
    for arm in PRESETS:
        config, steps = _training(arm, 1, told)
        assert steps * config.step_images == 4 * 400 * 8
        assert config.model.resolution == 64


def test_the_gap_closed_is_of_the_same_seed() -> None:
    def result(arm: Arm, seed: int, fid: float) -> Result:
        return Result(arm.name, seed, (fid,), 1, 0, 1.0)

    done = [result(ONE, 1, 30.0), result(FOUR_TIMES, 1, 20.0), result(CLEAN, 1, 22.0)]
    done += [result(ONE, 2, 40.0), result(FOUR_TIMES, 2, 20.0), result(CLEAN, 2, 45.0), result(CLEAN, 3, 9.0)]
    assert gap_closed(done, CLEAN.name) == [0.8, -0.25]
    assert [row.split("|")[1].strip() for row in table(done)][2:] == [ONE.name, FOUR_TIMES.name, CLEAN.name]


def _settings(images: ImageSet, **more: object) -> dict[str, object]:
    told = {
        "dataset": "digits",
        "resolution": 32,
        "steps": 9,
        "batch": 8,
        "width": 8,
        "rate": 1e-3,
        "scored": 100,
    }
    return settings_of(argparse.Namespace(**{**told, **more}), images, builtin_extractor())


def test_figures_of_other_settings_do_not_come_into_one_folder(images: ImageSet, tmp_path: Path) -> None:
    keep_settings(tmp_path / "new", _settings(images))
    keep_settings(tmp_path / "new", _settings(images))
    with pytest.raises(
        SystemExit, match="are of steps 9 and not 10, width 8 and not 16: give another folder"
    ):
        keep_settings(tmp_path / "new", _settings(images, steps=10, width=16))
    with pytest.raises(SystemExit, match=r"are of images \w+ and not \w+: give another"):
        keep_settings(tmp_path / "new", _settings(_with_pixels(images, 1)))


def test_figures_of_unknown_settings_are_not_taken_up(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").touch()
    with pytest.raises(SystemExit, match="nobody knows of which settings"):
        keep_settings(tmp_path, _settings(images))


def test_the_arms_have_names_of_their_own() -> None:
    assert len({arm.name for arm in ARMS}) == len(ARMS)
