"""An extractor on pictures of one's own: it tells their classes apart, and ``p2pgan score`` reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from p2pgan.gan.data import open_images
from p2pgan.gan.scores.features import features_of
from p2pgan.gan.scores.foreign import torchscript_extractor
from scripts.train_extractor import make_own


def test_it_tells_classes_apart_and_is_read_as_an_extractor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "digits.pt"
    make_own("digits", None, width=8, passes=20, out=out)

    told = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("told right"))
    assert float(told.split()[-1]) > 0.4, "of ten classes, chance tells a tenth right"
    extractor = torchscript_extractor(out)
    features = features_of(extractor, [open_images("digits", 32).batch(torch.arange(20))])
    assert features.shape == (20, 32)


def test_pictures_without_classes_are_refused(tmp_path: Path) -> None:
    open_images("digits", 32).batch(torch.arange(1))
    (tmp_path / "faces").mkdir()
    from PIL import Image

    for number in range(3):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / "faces" / f"{number}.png")
    with pytest.raises(SystemExit, match="has no classes"):
        make_own(f"folder:{tmp_path / 'faces'}", None, width=8, passes=1, out=tmp_path / "out.pt")
