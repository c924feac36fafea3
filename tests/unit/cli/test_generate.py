"""``p2pgan generate`` on weights that were trained for a moment."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import p2pgan
from p2pgan.cli import generate, main


def _trained(out: Path, **model: object) -> Path:
    config = {"model": {"width": 8, "latent_dim": 8, **model}, "microbatch": 16}
    gan = p2pgan.GanConfig.model_validate(config)
    return p2pgan.train(gan, out=out, images_goal=32, quiet=True, threads=1).weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained(tmp_path_factory.mktemp("conditional"), num_classes=10)


def _generate(weights: Path, out: Path, *more: str) -> int:
    return main.run(["generate", "--weights", str(weights), "--out", str(out), "--device", "cpu", *more])


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_the_same_seed_draws_the_same_bytes_and_python_the_same_images(weights: Path, tmp_path: Path) -> None:
    first, second, other = (tmp_path / f"{name}.png" for name in "abc")
    assert _generate(weights, first, "-n", "9", "--seed", "3") == 0
    assert _generate(weights, second, "-n", "9", "--seed", "3") == 0
    assert _generate(weights, other, "-n", "9", "--seed", "4") == 0
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    images = p2pgan.load_generator(weights, device="cpu").sample(9, seed=3)
    with Image.open(first) as grid:
        assert grid.getpixel((34, 0)) == tuple(images[1, :, 0, 0].tolist())


def test_each_way_to_show_images_has_its_size(weights: Path, conditional: Path, tmp_path: Path) -> None:
    assert _generate(weights, tmp_path / "i.png", "--as", "interpolation", "-n", "3", "--frames", "5") == 0
    assert _size(tmp_path / "i.png") == (5 * 34 - 2, 3 * 34 - 2)
    assert _generate(conditional, tmp_path / "c.png", "--as", "classes", "-n", "4") == 0
    assert _size(tmp_path / "c.png") == (4 * 34 - 2, 10 * 34 - 2)
    for name in ("w.gif", "w.webp"):
        assert _generate(weights, tmp_path / name, "--frames", "8", "-n", "4") == 0
        with Image.open(tmp_path / name) as walk:
            assert (walk.n_frames, walk.size) == (8, (66, 66))


@pytest.mark.parametrize(
    "flags",
    [["-n", "40"], ["-n", "8", "--as", "interpolation", "--frames", "5"], ["-n", "4", "--as", "classes"]],
)
def test_on_a_terminal_a_large_picture_shows_how_far_it_is(
    conditional: Path,
    tmp_path: Path,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(generate, "IMAGES_FROM", 40)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert _generate(conditional, tmp_path / "a.png", "--batch-size", "16", *flags) == 0
    shown = capsys.readouterr().err
    assert "drawing" in shown and "100%" in shown
    monkeypatch.setattr(generate, "IMAGES_FROM", 41)
    assert _generate(conditional, tmp_path / "b.png", "--batch-size", "16", *flags) == 0
    assert capsys.readouterr().err == ""
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_truncation_changes_images_more_the_nearer_it_is_to_0(weights: Path) -> None:
    generator = p2pgan.load_generator(weights, device="cpu")
    free = generator.sample(16).float()
    changes = [(generator.sample(16, truncation=x) - free).abs().mean() for x in (9.0, 2.0, 0.5)]
    assert changes[0] < 1 < changes[1] < changes[2]


def test_truncation_class_and_batch_size_reach_the_images(conditional: Path, tmp_path: Path) -> None:
    flags = ["-n", "6", "--truncation", "0.5", "--class", "3", "--batch-size", "4"]
    assert _generate(conditional, tmp_path / "single", *flags) == 0
    generator = p2pgan.load_generator(conditional, device="cpu")
    wanted = generator.sample(6, label=3, truncation=0.5)
    for index in range(6):
        with Image.open(tmp_path / "single" / f"{index:06d}.png") as picture:
            found = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        assert (found.short() - wanted[index].short()).abs().max() <= 1
    assert not torch.equal(wanted, generator.sample(6, label=3))
    assert not torch.equal(wanted, generator.sample(6, truncation=0.5))


def test_a_folder_is_filled_up_and_says_what_was_there(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "single"
    assert _generate(weights, folder, "-n", "3") == 0
    assert capsys.readouterr().out == f"{folder}\n"
    assert _generate(weights, folder, "-n", "5") == 0
    assert capsys.readouterr().out == f"{folder}: 3 of 5 images were there\n"
    assert len(list(folder.glob("*.png"))) == 5
    assert _generate(weights, folder, "-n", "5", "--seed", "2") == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "holds images of seed 1, not 2; choose another --out" in shown.err


def test_images_of_another_training_are_not_mixed_in(
    weights: Path, conditional: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _generate(weights, tmp_path / "s", "-n", "2") == 0
    assert _generate(conditional, tmp_path / "s", "-n", "2") == 2
    assert "holds images of other weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "more", "line"),
    [
        ("x.gif", ["--as", "grid"], "--as grid does not fit --out"),
        ("x", ["--as", "walk"], "does not fit --out"),
        ("x.mp4", [], "a .gif or .webp for an animation"),
        ("x.png", ["--as", "classes"], "the run ignores classes"),
        ("x.png", ["--as", "classes", "--class", "1"], "leave --class out"),
        ("x.png", ["--frames", "3"], "--frames is for a walk or an interpolation"),
        ("x.png", ["--as", "interpolation", "-n", "9000"], "a grid shows at most 10,000 images"),
        ("x.gif", ["-n", "900"], "an animation shows at most 20,000 images"),
        ("x.png", ["--truncation", "0"], "leaves no noise"),
        ("x.png", ["--class", "1"], "there is no class 1"),
        ("x.gif", ["--as", "history"], "a weights file has no history"),
        ("x.png", ["--device", "cuda:99"], "the device cuda:99 cannot be used here"),
        ("x.png", ["--as", "film"], "--as"),
        ("x", ["--peers", "all"], "say which with --rendezvous DSN"),
        ("x", ["--peers", "some"], "--peers"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    out: str, more: list[str], line: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _generate(weights, tmp_path / out, *more) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert line in shown.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "more", "line"),
    [
        ("x.png", [], "--peers is for single images: give --out a folder"),
        ("x", ["--batch-size", "65"], "peers draw at most 64 images at once"),
        ("x", ["--seed", str(2**62 + 1)], "more than peers take"),
    ],
)
def test_what_peers_cannot_draw_is_refused_before_anybody_is_asked(
    out: str, more: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--rendezvous",
        f"embedded:{tmp_path / 'none'}",
        "--peers",
        "all",
        "--out",
        str(tmp_path / out),
    ]
    assert main.run(["generate", *arguments, *more]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert line in shown.err
    assert list(tmp_path.iterdir()) == []


def test_wrong_indices_in_python(weights: Path) -> None:
    generator = p2pgan.load_generator(weights)
    with pytest.raises(p2pgan.errors.ConfigError, match="no index below 0"):
        generator.interpolate(-1, 2)
    assert torch.equal(generator.interpolate(0, 1), generator.interpolate(0, 1))
