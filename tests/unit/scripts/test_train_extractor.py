"""An extractor on pictures of one's own: it tells their classes apart, and ``p2pgan score`` reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2pgan.errors import ConfigError, DatasetError
from p2pgan.gan.data import open_images
from p2pgan.gan.scores.features import features_of
from p2pgan.gan.scores.foreign import torchscript_extractor
from scripts.train_extractor import main, make_own

COUNT = 256
"""Of each class."""


def write_pictures(folder: Path, colour: tuple[int, int, int], count: int) -> None:
    """Noise around a colour."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(sum(colour)).integers(-60, 60, (count, 32, 32, 3))
    for number, pixels in enumerate((noise + colour).clip(0, 255).astype(np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")


def test_it_tells_classes_apart_and_is_read_as_an_extractor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "pets" / "red", (160, 110, 110), COUNT)
    write_pictures(tmp_path / "pets" / "green", (110, 160, 110), COUNT)
    spec, out = f"folder:{tmp_path / 'pets'}", tmp_path / "pets.pt"
    make_own(spec, None, width=8, passes=8, out=out)

    told = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("told right"))
    assert float(told.split()[2]) > 0.9, "of two classes, chance tells half right"
    extractor = torchscript_extractor(out)
    features = features_of(extractor, [open_images(spec, 32).batch(torch.arange(20))])
    assert features.shape == (20, 32)


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    for name in ("red", "green"):
        write_pictures(tmp_path / name, (160, 110, 110), 20)
    with pytest.raises(DatasetError, match="has 40 images: 128 are needed"):
        make_own(f"folder:{tmp_path}", None, width=8, passes=1, out=tmp_path / "out.pt")


def test_pictures_without_classes_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "faces", (0, 0, 0), 3)
    with pytest.raises(DatasetError, match="has no classes"):
        make_own(f"folder:{tmp_path / 'faces'}", None, width=8, passes=1, out=tmp_path / "out.pt")


def test_one_that_has_learned_nothing_is_not_written(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_pictures(tmp_path / "same" / name, (160, 110, 110), 80)
    with pytest.raises(ConfigError, match="hardly better than chance"):
        make_own(f"folder:{tmp_path / 'same'}", None, width=4, passes=1, out=tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of the arguments --dataset --builtin is required"),
        (["--dataset", "digits"], "--dataset needs --out FILE"),
        (["--dataset", "digits", "--out", "nowhere/e.pt"], "nowhere/e.pt cannot be written"),
        (["--dataset", "digits", "--out", "e.pt", "--width", "0"], "'0' is no whole number from 1 on"),
        (["--dataset", "folder:nowhere", "--out", "e.pt"], "nowhere"),
    ],
)
def test_bad_input_ends_at_once_with_exit_code_2(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train_extractor.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
