"""Flags of the training: what they become in the configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2pgan.cli.main import run
from p2pgan.cli.options import augment_kinds, batch_size
from p2pgan.cli.overrides import requested
from p2pgan.errors import ConfigError
from p2pgan.peer.config import run_config


def test_batch_size_is_a_number_or_left_to_the_device() -> None:
    assert [batch_size(value) for value in (None, "auto", "64")] == [None, None, 64]
    for wrong in ("0", "-3", "many", "1.5"):
        with pytest.raises(ConfigError, match="is no number of images; give a number above 0, or auto"):
            batch_size(wrong)


def test_kinds_of_augmentation_have_commas_between_them() -> None:
    assert augment_kinds(None) is None
    said = requested(None, None, {"gan.augment.policy": augment_kinds("color, cutout")})
    assert run_config(said).gan.augment.policy == ("color", "cutout")
    with pytest.raises(ConfigError, match="gan.augment.policy"):
        run_config(requested(None, None, {"gan.augment.policy": augment_kinds("colour")}))


def test_everything_overrides_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("gan: {loss: {r1_gamma: 1.0}, microbatch: 16}")
    gan = run_config(requested(file, ["gan.microbatch=8"], {"gan.model.name": "dcgan"}, "modern")).gan
    assert (gan.loss.name, gan.loss.r1_gamma, gan.loss.r2_gamma) == ("rp", 1.0, 0.05)
    assert (gan.microbatch, gan.accumulate, gan.model.name) == (8, 4, "dcgan")
    with pytest.raises(ConfigError, match="did you mean classic"):
        requested(None, None, {}, "clasic")


def test_a_training_alone_goes_by_the_size_of_units_and_draws_as_often_as_it_is_told(tmp_path: Path) -> None:
    faces, out = tmp_path / "faces", tmp_path / "out"
    faces.mkdir()
    for number, noise in enumerate(np.random.default_rng(1).integers(0, 256, (40, 32, 32, 3), np.uint8)):
        Image.fromarray(noise).save(faces / f"{number}.png")
    file = tmp_path / "run.yaml"
    file.write_text("{unit_images: 16, gan: {model: {width: 8}, microbatch: 8}}")
    command = ["train", "--config", str(file), "--set", "sample_every=2", "--dataset", f"folder:{faces}"]
    assert run([*command, "--epochs", "2", "--threads", "1", "--device", "cpu", "--out", str(out)]) == 0
    units = [line.split(",")[0] for line in (out / "losses.csv").read_text().splitlines()[1:]]
    assert units == ["16", "32", "40", "56", "72", "80"]
    grids = sorted(path.name for path in out.glob("*.png"))
    assert grids == ["samples-000000032.png", "samples-000000056.png", "samples-000000080.png"]


def test_a_training_alone_says_what_it_has_no_use_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "class.yaml"
    file.write_text("{sync: {local_steps: 20}, score_every: 5, goal: {epochs: 2}, gan: {microbatch: 8}}")
    command = ["train", "--dry-run", "--out", str(tmp_path / "out")]
    assert run([*command, "--config", str(file)]) == 0
    told = capsys.readouterr().err
    assert told == (
        "p2pgan: a training in one process has no use for sync.local_steps, score_every; the rest counts\n"
    )
    assert run(command) == 0
    assert capsys.readouterr().err == ""
