import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.ema import ema_update
from p2pgan.gan.folder import TrainingFolder
from p2pgan.gan.train import Callbacks, train
from p2pgan.gan.trainer import Look, StepStats, Trainer
from p2pgan.gan.units import UnitStats, summarise
from p2pgan.gan.weights import load_generator


class Watch(Callbacks):
    def __init__(self) -> None:
        self.units: list[UnitStats] = []
        self.progress: list[tuple[int, int]] = []
        self.grids: list[Path] = []

    def on_unit(self, stats: UnitStats) -> None:
        self.units.append(stats)

    def on_progress(self, images: int, goal: int) -> None:
        self.progress.append((images, goal))

    def on_samples(self, images: int, path: Path) -> None:
        self.grids.append(path)


def test_every_image_of_an_epoch_once_then_weights_and_grids(
    config: GanConfig, images: ImageSet, tmp_path: Path
):
    watch = Watch()
    trained = train(
        config, images, TrainingFolder(tmp_path), epochs=2, unit_images=16, sample_every=4, callbacks=[watch]
    )
    assert [(u.unit, u.epoch, u.images) for u in watch.units] == [
        (1, 0, 16), (2, 0, 16), (3, 0, 8), (4, 1, 16), (5, 1, 16), (6, 1, 8),
    ]  # fmt: skip
    assert watch.progress[-1] == (80, 80)
    assert [path.name for path in watch.grids] == ["samples-000000056.png", "samples-000000080.png"]
    assert trained.samples == watch.grids[-1]
    assert trained.images == 80
    stored = load_generator(trained.weights)
    assert stored.facts == {"images": "80"}
    rows = list(csv.DictReader(trained.losses.read_text().splitlines()))
    assert [int(row["images_seen"]) for row in rows] == [16, 32, 40, 56, 72, 80]
    assert float(rows[2]["loss_g"]) == watch.units[2].loss_g
    assert stored.config == config
    assert trained.generator.sample(2).shape == (2, 3, 32, 32)


def test_the_same_configuration_gives_the_same_weights(config: GanConfig, images: ImageSet, tmp_path: Path):
    one = train(config, images, TrainingFolder(tmp_path / "one"), images_goal=24, unit_images=16)
    two = train(config, images, TrainingFolder(tmp_path / "two"), images_goal=24, unit_images=16)
    assert torch.equal(load_generator(one.weights).vector, load_generator(two.weights).vector)


def test_the_average_follows_the_trainer(config: GanConfig, images: ImageSet, tmp_path: Path):
    quick = config.model_copy(update={"ema_half_life_images": 1e-3})
    trained = train(quick, images, TrainingFolder(tmp_path), images_goal=16, unit_images=16)
    trainer = Trainer(quick, images)
    for start in (0, 8):
        trainer.train_microbatch(0, start, start + 8)
    theta = trainer.theta()[trainer.layout.slice_of("G")]
    assert torch.equal(load_generator(trained.weights).vector, theta)


@pytest.mark.parametrize(
    ("goal", "line"),
    [
        ({}, "either epochs or images_goal"),
        ({"epochs": 1.0, "images_goal": 5}, "either epochs or images_goal"),
        ({"images_goal": 0}, "less than one image"),
        ({"epochs": -1.0}, "less than one image"),
    ],
)
def test_a_goal_is_needed(
    config: GanConfig, images: ImageSet, tmp_path: Path, goal: dict[str, float], line: str
):
    with pytest.raises(ConfigError, match=line):
        train(config, images, TrainingFolder(tmp_path), **goal)  # type: ignore[arg-type]


FAILED = StepStats(8, float("nan"), float("nan"), 0.5, 0.5, None, finite=False)


def fail_in_turn(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> list[int]:
    """Steps whose number, from 0, ``fails`` is true of leave the weights as they are; how many there were."""
    step, made = Trainer.train_microbatch, [0]

    def sometimes(self: Trainer, epoch: int, start: int, stop: int) -> StepStats:
        number, made[0] = made[0], made[0] + 1
        return FAILED if fails(number) else step(self, epoch, start, stop)

    monkeypatch.setattr(Trainer, "train_microbatch", sometimes)
    return made


@pytest.mark.parametrize("unit_images", [8, 16, 64])
def test_a_training_stops_once_going_back_helps_no_more(
    config: GanConfig, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit_images: int
):
    """Whatever the size of a unit."""
    made = fail_in_turn(monkeypatch, lambda number: True)
    with pytest.raises(WeightsError, match="diverged in unit .*: no step is finite any more") as stopped:
        train(config, images, TrainingFolder(tmp_path), epochs=4, unit_images=unit_images)
    assert made == [15]
    assert stopped.value.told.endswith("(troubleshooting.md#nan)")


def test_units_without_a_finite_step_are_recovered_from(
    config: GanConfig, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A unit is one step here; all but one in every fifteen fail."""
    fail_in_turn(monkeypatch, lambda number: number % 15 != 14)
    watch = Watch()
    trained = train(config, images, TrainingFolder(tmp_path), epochs=6, unit_images=8, callbacks=[watch])
    assert trained.images == 240
    assert [u.unit for u in watch.units if not u.skipped] == [15, 30]


def test_what_is_not_well_is_said_once_while_it_lasts_and_not_of_units_that_failed(
    config: GanConfig, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of a unit without a finite step nothing is known, least of all that D has collapsed."""
    monkeypatch.setattr("p2pgan.gan.trainer.Trainer.look", lambda _: Look(diversity=0.01, sign_held_out=None))
    fail_in_turn(monkeypatch, lambda number: number in (0, 3))
    said: list[tuple[int, str]] = []

    class Notices(Watch):
        def on_notice(self, text: str) -> None:
            if "collapsed" in text:
                said.append((len(self.units), text))

    train(config, images, TrainingFolder(tmp_path), epochs=1, unit_images=8, callbacks=[Notices()])
    assert said == [(2, "drawn images are nearly one image (diversity 0.01): G has collapsed")]


def test_weights_that_failed_do_not_enter_the_average(
    config: GanConfig, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fail_in_turn(monkeypatch, lambda number: number == 2)
    entered = []

    def counted(ema: torch.Tensor, theta: torch.Tensor, images: int, half_life: float) -> torch.Tensor:
        entered.append(images)
        return ema_update(ema, theta, images, half_life)

    monkeypatch.setattr("p2pgan.gan.train.ema_update", counted)
    train(config, images, TrainingFolder(tmp_path), images_goal=32, unit_images=8)
    assert entered == [8, 8, 8], "of four units"


def test_the_line_of_a_unit():
    steps = [
        StepStats(6, 1.0, 0.5, 0.6, 0.4, None, finite=True),
        StepStats(2, 2.0, 1.5, 0.8, 0.2, 0.1, finite=True),
    ]
    stats = summarise(42, 0, steps, seconds=3.14159)
    assert str(stats) == "unit 42 done: 8 images in 3.1 s, G 1.25 D 0.75"
    assert stats.d_real == pytest.approx(0.65)
    assert stats.images_per_s == pytest.approx(8 / 3.14159)


def test_steps_left_out_do_not_enter_the_means():
    steps = [
        StepStats(4, 1.0, 0.5, 0.6, 0.4, None, finite=True),
        StepStats(4, float("nan"), 0.5, 0.6, 0.4, None, finite=False),
    ]
    stats = summarise(1, 0, steps, seconds=1.0)
    assert stats.loss_g == 1.0
    assert re.search("8 images.*, 1 steps left out", str(stats))


def test_asked_to_stop_it_finishes_the_microbatch_and_keeps_everything(
    config: GanConfig, images: ImageSet, tmp_path: Path
):
    watch = Watch()
    answers = iter([False, False, False, True])
    trained = train(
        config,
        images,
        TrainingFolder(tmp_path),
        epochs=2,
        unit_images=16,
        callbacks=[watch],
        stopping=lambda: next(answers, True),
    )
    # Two microbatches of eight in the first unit, one in the second.
    assert [u.images for u in watch.units] == [16, 8]
    assert (trained.images, trained.goal) == (24, 80)
    assert load_generator(trained.weights).facts == {"images": "24"}
    assert trained.samples.name == "samples-000000024.png"
    assert len(trained.losses.read_text().splitlines()) == 3


def test_a_crash_leaves_weights_and_losses_that_can_be_read(
    config: GanConfig, images: ImageSet, tmp_path: Path
):
    class Crash(Callbacks):
        def on_unit(self, stats: UnitStats) -> None:
            if stats.unit == 2:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(config, images, TrainingFolder(tmp_path), epochs=1, unit_images=16, callbacks=[Crash()])
    assert load_generator(tmp_path / "generator.safetensors").facts == {"images": "16"}
    assert len((tmp_path / "losses.csv").read_text().splitlines()) == 3
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]
