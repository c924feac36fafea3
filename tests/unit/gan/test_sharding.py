"""Parts of the images for different peers: each image in one of them, and the same for everyone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import p2pgan
from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import ConfigError
from p2pgan.gan import sharding
from p2pgan.gan.config import GanConfig, file_of_own_sharding, parse_config
from p2pgan.gan.data import ImageSet, open_images, run_fingerprint, training_images
from p2pgan.gan.randomness import epoch_permutation
from p2pgan.gan.sharding import use_own_sharding, with_sharding
from p2pgan.gan.trainer import Trainer
from p2pgan.peer.config import check_requested, run_config, stored_config
from p2pgan.peer.doctor.images import image_findings
from p2pgan.rendezvous import Dataset, RunRow

OWN = """
import torch


def by_shade(images, seed):
    return images.batch(torch.arange(images.count)).float().mean(dim=(1, 2, 3)).numpy() > 128


def halves(images, seed):
    return [seed + 2 * (index >= images.count // 2) for index in range(images.count)]


def broken(images, seed):
    return {}[seed]


def short(images, seed):
    return [0] * (images.count - 1)


def many(images, seed):
    return list(range(images.count))


number = 3
"""


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding.SHARDINGS, "_known", {})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "parts.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def classes() -> ImageSet:
    """Images whose shades are their numbers: twenty each of classes 0, 1 and 2 by turns, one more of 2."""
    shades = np.arange(61, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return ImageSet(shades * np.ones((1, 3, 32, 32), np.uint8), [*[0, 1, 2] * 20, 2])


def test_by_class_each_part_of_an_epoch_is_of_one_class(classes: ImageSet) -> None:
    images = training_images(parse_config({"sharding": "by-class"}), classes)
    assert images.parts is not None
    assert images.parts.ends == (20, 40, 61)
    orders = [images.order(1, epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(61)), "each image once"
        labels = images.labels_of(order)
        assert [labels[a:b].unique().tolist() for a, b in ((0, 20), (20, 40), (40, 61))] == [[0], [1], [2]]
    assert not torch.equal(orders[0], orders[1]), "an order of its own within the parts"
    assert torch.equal(orders[0], images.order(1, 0))
    assert classes.parts is None, "the images themselves stay as they are"


def test_iid_changes_nothing(classes: ImageSet) -> None:
    images = training_images(GanConfig(), classes)
    assert images is classes
    assert torch.equal(images.order(1, 2), epoch_permutation(1, 2, 61))


def test_held_out_images_are_in_no_part(classes: ImageSet) -> None:
    images = training_images(parse_config({"sharding": "by-class", "hold_out": True}), classes)
    assert images.parts is not None and images.held_out is not None
    assert (images.parts.ends[-1], images.count) == (60, 60)
    labels = images.labels_of(images.order(1, 0))
    assert labels.tolist() == sorted(labels.tolist())
    assert images.held_out.parts is None


def test_a_step_trains_the_images_of_its_part(classes: ImageSet) -> None:
    config = parse_config({"model": {"width": 8, "latent_dim": 8}, "sharding": "by-class", "microbatch": 8})
    images = training_images(config, classes)
    seen: list[int] = []
    batch = images.batch
    images.batch = lambda indices: seen.extend(images.labels_of(indices).tolist()) or batch(indices)
    Trainer(config, images).train_microbatch(0, 20, 28)
    assert seen == [1] * 8


def test_a_training_alone_takes_the_parts_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a lone peer of a run gets them: not one class after the other until it has forgotten the first."""
    trained: list[int] = []
    step = Trainer.train_microbatch

    def noting(trainer: Trainer, epoch: int, start: int, stop: int) -> object:
        order = trainer.images.order(trainer.config.seed, epoch)
        trained.append(int(trainer.images.labels_of(order[start : start + 1])))
        return step(trainer, epoch, start, stop)

    monkeypatch.setattr(Trainer, "train_microbatch", noting)
    config = parse_config({"model": {"width": 8, "latent_dim": 8}, "microbatch": 256})
    p2pgan.train(config, out=tmp_path, images_goal=1000, sharding="by-class", quiet=True)
    assert len(trained) >= 5
    assert len(set(trained)) == len(trained), "no class twice while others were not trained at all"


def test_an_own_function_divides_the_images(file: Path, classes: ImageSet) -> None:
    config = with_sharding(GanConfig(), f"{file}:halves")
    assert config.sharding.startswith("halves@")
    images = training_images(config, classes)
    assert images.parts is not None
    assert images.parts.ends == (30, 61)
    assert parse_config(config.model_dump_json()) == config


def test_a_function_itself_divides_the_images_of_a_training_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []

    def by_parity(images: ImageSet, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        given.append((images.count, seed))
        return np.arange(images.count) % 2

    config = parse_config({"model": {"width": 8, "latent_dim": 8}, "microbatch": 64, "seed": 7})
    trained = p2pgan.train(config, out=tmp_path, images_goal=64, sharding=by_parity, quiet=True)
    assert given == [(1797, 7)]
    kept = trained.generator.config.sharding
    assert kept == f"by_parity@{blob_digest(Path(__file__).read_bytes())}", "as by_parity of this file"
    assert p2pgan.load_generator(trained.weights).config.sharding == kept


def test_what_can_be_called_without_a_name_divides_the_images_too(classes: ImageSet) -> None:
    for own in (lambda images, seed: np.arange(images.count) // 31, partial(thirds, 31)):
        config = with_sharding(GanConfig(), own)
        assert config.sharding.startswith("sharding@")
        images = training_images(config, classes)
        assert images.parts is not None
        assert images.parts.ends == (31, 61)


def thirds(size: int, images: ImageSet, seed: int) -> list[int]:
    return [index // size for index in range(images.count)]


def test_where_others_need_it_a_function_itself_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"goes by its file: write 'path/to/file.py:FUNCTION', not the"
    ) as no:
        p2pgan.join(f"embedded:{tmp_path}", own_sharding=lambda images, seed: [0])  # type: ignore[arg-type]
    assert "\n" not in str(no.value)
    with pytest.raises(ConfigError, match="goes by its file"):
        use_own_sharding(thirds)  # type: ignore[arg-type]  # as somebody may write
    with pytest.raises(ConfigError, match="nothing that could be called"):
        with_sharding(GanConfig(), 3)  # type: ignore[arg-type]  # as somebody may write


def test_peers_that_divide_the_images_otherwise_are_not_of_the_run(file: Path, classes: ImageSet) -> None:
    """Else the same positions would be other images, and some would count twice."""
    config = with_sharding(GanConfig(), f"{file}:halves")
    fingerprints = {
        run_fingerprint(made, training_images(made, classes)).digest
        for made in (
            config,
            config.model_copy(update={"seed": 2}),
            with_sharding(config, "by-class"),
            with_sharding(config, "iid"),
        )
    }
    assert len(fingerprints) == 3, "numbers of another seed are the same parts"
    assert classes.fingerprint.digest in fingerprints


def test_a_name_from_elsewhere_loads_nothing(file: Path, classes: ImageSet) -> None:
    config = with_sharding(GanConfig(), f"{file}:halves")
    sharding.SHARDINGS._known.clear()
    with pytest.raises(ConfigError, match=r"halves is somebody's own; .* --sharding path/to/file.py:halves"):
        training_images(config, classes)
    for hostile in (f"{file}:halves", f"{file}:halves@{'0' * 64}", "os:system"):
        with pytest.raises(ConfigError, match="there is no sharding"):
            stored_config({"gan": {"sharding": hostile}})
    assert sharding.SHARDINGS._known == {}
    file.write_text(OWN + "\n# changed\n")
    use_own_sharding(f"{file}:halves")
    with pytest.raises(ConfigError, match="sharding halves is of a file with digest .* but the file given"):
        training_images(config, classes)


def test_a_run_keeps_function_and_digest(file: Path) -> None:
    requested = {"gan": {"sharding": f"{file}:halves"}}
    assert file_of_own_sharding(requested) == f"{file}:halves"
    config = run_config(requested)
    assert config.gan.sharding.startswith("halves@")
    assert str(file) not in config.model_dump_json()
    check_requested(config, requested)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("by_shade", "by_shade returned bool of shape .* it must return a whole number for each of the 61"),
        ("short", r"short returned int64 of shape \(60,\)"),
        ("broken", "the sharding broken fails: KeyError: 1"),
        ("number", "number in .* is no function; define number"),
        ("nothing", "defines no function nothing"),
    ],
)
def test_what_is_wrong_with_a_function_is_said_in_a_line(
    file: Path, classes: ImageSet, name: str, line: str
) -> None:
    with pytest.raises(ConfigError, match=line) as caught:
        training_images(with_sharding(GanConfig(), f"{file}:{name}"), classes)
    assert "\n" not in str(caught.value)


def test_parts_are_for_peers_and_not_for_images(
    file: Path, classes: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "MOST_PARTS", 60)
    with pytest.raises(ConfigError, match="61 parts are too many for peers; make at most 60"):
        training_images(with_sharding(GanConfig(), f"{file}:many"), classes)


def test_images_without_classes_have_no_parts_by_class(images: ImageSet) -> None:
    with pytest.raises(ConfigError, match="the images have no classes to tell them apart by"):
        training_images(parse_config({"sharding": "by-class"}), images)


def test_the_doctor_needs_the_file_as_a_peer_does(file: Path) -> None:
    config = run_config({"gan": {"sharding": f"{file}:halves"}})
    fingerprint = run_fingerprint(config.gan, training_images(config.gan, open_images("digits", 32)))
    dataset: Dataset = {"count": 1797, "resolution": 32, "digest": fingerprint.digest}
    stored = config.model_dump(mode="json")
    run = RunRow(1, "only", "active", stored, dataset, "", 512, 0, "", 0, 1)
    sharding.SHARDINGS._known.clear()

    (without,) = image_findings("digits", None, run)
    (given,) = image_findings("digits", None, run, f"{file}:halves")

    assert (without.mark, given.mark) == ("mend", "ok")
    assert "--sharding" in without.text
