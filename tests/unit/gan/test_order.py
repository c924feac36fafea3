"""A folder of images that is filled in several goes."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.order import FILE, drawn_here, fill, missing, order_of
from p2pgan.gan.sampling import Generator
from p2pgan.gan.trainer import Trainer


@pytest.fixture
def generator(config: GanConfig, images: ImageSet) -> Generator:
    trainer = Trainer(config, images)
    return Generator(config, trainer.theta()[trainer.layout.slice_of("G")], batch_size=8)


def _fill(generator: Generator, folder: Path, count: int, most: int | None = None) -> list[str]:
    order = order_of(generator, count, 3, None, None)
    indices, draw = missing(folder, order, count), drawn_here(generator, order)
    paths = fill(folder, order, generator.batch_size, indices, "version 4 of class, 90 images", draw)
    return [path.name for path in islice(paths, most)]


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_what_was_left_is_filled_up_to_the_same_bytes(generator: Generator, tmp_path: Path) -> None:
    assert len(_fill(generator, tmp_path / "once", 21)) == 21
    goes = tmp_path / "goes"
    assert _fill(generator, goes, 21, most=5) == [f"{index:06d}.png" for index in range(5)]
    (goes / "000001.png").unlink()
    (goes / "000003.png").write_bytes(b"")
    first = (goes / "000000.png").stat().st_mtime_ns
    assert _fill(generator, goes, 21)[:3] == ["000001.png", "000003.png", "000005.png"]
    assert (goes / "000000.png").stat().st_mtime_ns == first
    assert _content(goes) == _content(tmp_path / "once")
    assert _fill(generator, goes, 21) == []


def test_more_may_be_ordered_later(generator: Generator, tmp_path: Path) -> None:
    _fill(generator, tmp_path, 3)
    assert _fill(generator, tmp_path, 5) == ["000003.png", "000004.png"]


def test_more_than_a_million_have_longer_names(generator: Generator, tmp_path: Path) -> None:
    """More than fit into memory: nothing is drawn before the last batch is written."""
    order = order_of(generator, 5_000_000, 3, None, None)
    draw = drawn_here(generator, order)
    assert [path.name for path in islice(fill(tmp_path, order, 8, range(5_000_000), "", draw), 2)] == [
        "0000000.png",
        "0000001.png",
    ]
    assert len(_content(tmp_path)) == 2
    with pytest.raises(ConfigError, match="names of another length"):
        _fill(generator, tmp_path, 5)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 4}, "images of seed 4, not 3"),
        ({"truncation": 1.5}, "images of truncation 1.5, not none"),
        ({"label": 2}, "images of label 2, not none"),
        ({"weights": "ab" * 32}, r"images of other weights \(version 4 of class, 90 images\)"),
    ],
)
def test_images_of_another_order_are_not_mixed(
    change: dict[str, object], line: str, generator: Generator, tmp_path: Path
) -> None:
    _fill(generator, tmp_path, 3)
    facts = json.loads((tmp_path / FILE).read_text())
    facts["order"] |= change
    (tmp_path / FILE).write_text(json.dumps(facts))
    before = _content(tmp_path)
    with pytest.raises(ConfigError, match=line):
        _fill(generator, tmp_path, 5)
    assert _content(tmp_path) == before


def test_images_of_which_nothing_is_told_are_not_touched(generator: Generator, tmp_path: Path) -> None:
    (tmp_path / "000001.png").write_bytes(b"a photo")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="says of what; choose another --out"):
        _fill(generator, tmp_path, 3)
    assert (tmp_path / "000001.png").read_bytes() == b"a photo"
    (tmp_path / "000001.png").unlink()
    assert len(_fill(generator, tmp_path, 3)) == 3


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"order": 3}', b"\xff\xfe", b"[" * 60_000, b"9" * 100_000]
)
def test_a_damaged_file_is_one_clear_line(content: bytes, generator: Generator, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged; choose another --out"):
        _fill(generator, tmp_path, 3)


def test_a_file_is_no_folder(generator: Generator, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("mine")
    with pytest.raises(ConfigError, match="choose another --out"):
        _fill(generator, tmp_path / "here", 3)
