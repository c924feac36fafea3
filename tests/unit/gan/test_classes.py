"""Classes of images, and images that are held out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2pgan.errors import ConfigError, DatasetError
from p2pgan.gan import data, fit
from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.data import ImageSet, open_images, run_fingerprint, training_images
from p2pgan.gan.files import class_folders
from p2pgan.gan.fit import largest, with_classes_of, with_largest_microbatch
from p2pgan.gan.models import layout_for
from p2pgan.gan.nets.dcgan import DcganDiscriminator
from p2pgan.gan.sampling import Generator
from p2pgan.gan.trainer import StepStats, Trainer

DIGITS_DIGEST = "1078073ab1596002"
"""Of the digits at 32 px, as runs have it that exist."""


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(path: Path, entries: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return f"zip:{path}"


def test_digits_have_classes_and_the_fingerprint_they_always_had():
    images = open_images("digits", 32)
    assert images.classes == 10
    assert images.labels_of(torch.arange(12)).tolist() == [*range(10), 0, 1]
    assert images.fingerprint.digest.startswith(DIGITS_DIGEST)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cat/1.png", "dog/1.png", "cat/2.png"], [0, 1, 0]),
        (["train/b/1.png", "train/a/1.png"], [1, 0]),
        (["1.png", "2.png"], []),
        (["1.png", "a/2.png"], []),
    ],
)
def test_the_class_is_the_folder(names: list[str], labels: list[int]):
    assert class_folders(names) == labels


def test_a_single_folder_is_no_class(tmp_path: Path):
    assert (
        open_images(
            archive(tmp_path / "a.zip", {"faces/1.png": picture(1), "faces/2.png": picture(2)}), 32
        ).classes
        == 0
    )


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_labels_stay_with_their_images_when_some_are_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
):
    """Decoded at once, decoded into a file, and read from the file."""
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", limit)
    spec = archive(
        tmp_path / "a.zip",
        {"a/1.png": picture(0), "a/2.png": b"broken", "b/1.png": picture(200), "c/1.png": picture(100)},
    )
    for _ in range(2):
        images = open_images(spec, 32, cache_dir=tmp_path / "cache")
        assert images.count == 3
        shades = images.batch(torch.arange(3))[:, 0, 0, 0].tolist()
        assert list(zip(shades, images.labels_of(torch.arange(3)).tolist(), strict=True)) == [
            (0, 0),
            (200, 1),
            (100, 2),
        ]


def test_a_cache_of_before_there_were_labels_is_good_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 0)
    spec = archive(tmp_path / "a.zip", {"a/1.png": picture(0), "b/1.png": picture(200)})
    open_images(spec, 32, cache_dir=tmp_path / "cache")
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".u8"]
    monkeypatch.setattr(data, "to_square", None)  # decoding again would fail
    assert open_images(spec, 32, cache_dir=tmp_path / "cache").classes == 2


def test_only_conditional_runs_care_for_the_classes(images: ImageSet):
    pixels = images.batch(torch.arange(40)).numpy()
    one, other = ImageSet(pixels, [0, 1] * 20), ImageSet(pixels, [1, 0] * 20)
    plain = GanConfig()
    conditional = with_classes_of(plain, one)
    assert conditional.model.num_classes == 2
    assert run_fingerprint(plain, one) == run_fingerprint(plain, other) == images.fingerprint
    assert run_fingerprint(conditional, one) != run_fingerprint(conditional, other)
    with pytest.raises(ConfigError, match="the images have no classes"):
        with_classes_of(plain, images)


def test_one_percent_is_held_out_by_the_seed():
    pixels = np.arange(300, dtype=np.uint16).astype(np.uint8).reshape(300, 1, 1, 1) * np.ones(
        (1, 3, 32, 32), np.uint8
    )
    images = ImageSet(pixels, [index % 3 for index in range(300)])
    training = training_images(parse_config({"hold_out": True}), images)
    held_out = training.held_out
    assert held_out is not None
    assert (training.count, held_out.count) == (297, 3)
    assert training.fingerprint.count == 297
    assert training.fingerprint.digest == images.fingerprint.digest
    again = images.without_held_out(1)
    assert torch.equal(training.batch(torch.arange(297)), again.batch(torch.arange(297)))
    assert not torch.equal(
        training.batch(torch.arange(297)), images.without_held_out(2).batch(torch.arange(297))
    )
    both = torch.cat([training.batch(torch.arange(297)), held_out.batch(torch.arange(3))])[:, 0, 0, 0]
    assert sorted(both.tolist()) == sorted(pixels[:, 0, 0, 0].tolist()), "each image is in one of them"
    for part in (training, held_out):
        everything = torch.arange(part.count)
        # 256 images have values of their own, the others start over.
        values = part.batch(everything)[:, 0, 0, 0].long()
        labels = part.labels_of(everything)
        assert ((labels == values % 3) | (labels == (values + 256) % 3)).all()


def test_not_more_than_a_thousand_are_held_out(monkeypatch: pytest.MonkeyPatch, images: ImageSet):
    monkeypatch.setattr(data, "MOST_HELD_OUT", 2)
    held_out = ImageSet(np.zeros((500, 3, 32, 32), np.uint8)).without_held_out(1).held_out
    assert held_out is not None
    assert held_out.count == 2
    with pytest.raises(DatasetError, match="a single image cannot be held out"):
        ImageSet(np.zeros((1, 3, 32, 32), np.uint8)).without_held_out(1)
    assert training_images(GanConfig(), images) is images


def test_images_are_drawn_by_class():
    config = parse_config({"model": {"width": 8, "latent_dim": 8, "num_classes": 3}})
    vector = torch.randn(
        layout_for(config.model).slice_of("G").stop, generator=torch.Generator().manual_seed(1)
    )
    generator = Generator(config, vector)
    by_turns, ones = generator.sample(6), generator.sample(6, label=1)
    assert torch.equal(by_turns[[1, 4]], ones[[1, 4]])
    assert not torch.equal(by_turns[0], ones[0])
    with pytest.raises(ConfigError, match="there is no class 3; there are 0 to 2"):
        generator.sample(1, label=3)


def test_batch_statistics_follow_from_the_weights_alone(images: ImageSet):
    config = parse_config(
        {"model": {"width": 8, "latent_dim": 8, "norm": "batch"}, "loss": {"r1_gamma": 0.0}, "microbatch": 8}
    )
    trainer = Trainer(config, images)
    trainer.train_microbatch(0, 0, 8)
    vector = trainer.theta()[trainer.layout.slice_of("G")]
    one, other = Generator(config, vector), Generator(config, vector)
    assert torch.equal(one.sample(70), other.sample(70))
    assert torch.equal(one.sample(70)[:3], one.sample(3)), "an image does not depend on its neighbours"
    assert one.sample(16).float().std() > 1


def test_the_largest_microbatch_is_found_by_doubling():
    assert largest(32, lambda size: size <= 200) == 128
    assert largest(32, lambda size: True) == 512
    assert largest(32, lambda size: size <= 10) == 8
    assert largest(48, lambda size: False) == 1
    config = GanConfig()
    assert with_largest_microbatch(config, torch.device("cpu")) is config


def test_a_trial_step_says_whether_a_microbatch_fits(monkeypatch: pytest.MonkeyPatch):
    config = parse_config({"model": {"width": 8, "latent_dim": 8, "num_classes": 3}})
    assert fit._fits(config, torch.device("cpu"), 4)
    forward = DcganDiscriminator.forward

    def short_of_memory(
        network: DcganDiscriminator, images: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(network, images, labels)

    monkeypatch.setattr(DcganDiscriminator, "forward", short_of_memory)
    assert not fit._fits(config, torch.device("cpu"), 4)
    assert fit._fits(config, torch.device("cpu"), 2)


def test_a_trial_step_has_all_that_later_ones_have(monkeypatch: pytest.MonkeyPatch):
    """Also what is not due in the first step of a training."""
    config = parse_config(
        {
            "model": {"width": 8, "latent_dim": 8},
            "loss": {"d_steps": 5},
            "augment": {"policy": ["color"], "adaptive": True},
        }
    )
    step, had = Trainer.train_microbatch, []

    def watched(trainer: Trainer, *place: int) -> StepStats:
        stats = step(trainer, *place)
        had.append((stats.grad_g > 0, stats.grad_d > 0, stats.r1 is not None, trainer._augment.active))
        return stats

    monkeypatch.setattr(Trainer, "train_microbatch", watched)
    assert fit._fits(config, torch.device("cpu"), 4)
    assert had == [(True, True, True, True)]
