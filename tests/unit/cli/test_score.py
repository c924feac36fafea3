"""``p2pgan score`` on weights that were trained for a moment."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import p2pgan
from p2pgan.cli import main
from p2pgan.gan.data import open_images
from p2pgan.gan.scores.builtin import builtin_extractor


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    config = {"model": {"width": 8, "latent_dim": 8}, "microbatch": 16}
    gan = p2pgan.GanConfig.model_validate(config)
    return p2pgan.train(gan, out=out, images_goal=64, quiet=True, threads=1).weights


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("conditional")
    config = {"model": {"width": 8, "latent_dim": 8, "num_classes": 10}, "microbatch": 16}
    gan = p2pgan.GanConfig.model_validate(config)
    return p2pgan.train(gan, out=out, images_goal=64, quiet=True, threads=1).weights


def _score(weights: Path, *more: str) -> list[str]:
    return ["score", "--weights", str(weights), "--dataset", "digits", "-n", "120", *more]


def _json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, object]:
    assert main.run([*arguments, "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_everything_that_matters_is_told(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _json(capsys, _score(weights))
    figures = told["scores"]
    assert isinstance(figures, dict)
    assert list(figures) == ["fid", "kid", "precision", "recall"]
    assert figures["fid"]["value"] > figures["fid"]["floor"] > 0
    low, high = figures["kid"]["interval"]
    assert low < figures["kid"]["value"] < high
    assert figures["precision"]["floor"] > 0.5 > figures["recall"]["value"]
    extractor = builtin_extractor()
    assert told["extractor"] == {"name": "builtin", "digest": extractor.digest, "features": 64}
    digest = open_images("digits", 32).fingerprint.digest
    reference = {"dataset": "digits", "n": 120, "half": 60, "count": 1797, "digest": digest}
    assert told["reference"] == reference
    assert (told["n"], told["seed"], told["resize"]) == (120, 1, "none, 32 px")
    assert told["source"] == str(weights)
    assert told["warnings"] == [
        "FID is biased upwards: 60 images of a half are too few for 64 features; "
        "compare it with figures of equally many images only"
    ]


def test_the_text_tells_the_same(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _json(capsys, _score(weights, "--metric", "kid,fid"))
    assert main.run(_score(weights, "--metric", "kid,fid")) == 0
    kid, fid, *rest = capsys.readouterr().out.splitlines()
    figures = told["scores"]
    assert isinstance(figures, dict)
    low, high = figures["kid"]["interval"]
    assert kid == (
        f"KID {figures['kid']['value']:.5f} (95% bootstrap interval {low:.5f} to {high:.5f}), "
        f"floor {figures['kid']['floor']:.5f}"
    )
    assert fid == f"FID {figures['fid']['value']:.3f}, floor {figures['fid']['floor']:.3f}"
    assert [line.partition(":")[0] for line in rest] == [
        "drawn",
        "reference",
        "floor",
        "resize",
        "extractor",
        "warning",
    ]
    assert "120 of the 1,797 images of digits, BLAKE3 " in rest[1]


def test_the_same_seed_gives_the_same_scores(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = _json(capsys, _score(weights, "--seed", "3"))
    assert _json(capsys, _score(weights, "--seed", "3")) == first
    assert _json(capsys, _score(weights, "--seed", "4"))["scores"] != first["scores"]


def test_a_metric_does_not_depend_on_the_others(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    together, alone = _json(capsys, _score(weights)), _json(capsys, _score(weights, "--metric", "kid"))
    assert isinstance(together["scores"], dict)
    assert alone["scores"] == {"kid": together["scores"]["kid"]}
    assert alone["warnings"] == []


def test_a_conditional_gan_is_scored_on_all_its_classes(
    conditional: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _json(capsys, _score(conditional, "--metric", "fid"))
    images = p2pgan.load_generator(str(conditional)).sample(120, seed=1)
    folder = conditional.parent / "drawn"
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index:03}.png")
    same = ["score", "--weights", str(conditional), "--dataset", f"folder:{folder}", "--metric", "fid"]
    itself = _json(capsys, [*same, "-n", "120"])
    assert isinstance(told["scores"], dict) and isinstance(itself["scores"], dict)
    assert itself["scores"]["fid"]["value"] == pytest.approx(0, abs=1e-6) != told["scores"]["fid"]["value"]


class Means(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


def test_an_extractor_of_ones_own(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        torch.jit.script(Means()).save(str(tmp_path / "means.pt"))  # type: ignore[no-untyped-call]  # torch's
    arguments = _score(weights, "--extractor", str(tmp_path / "means.pt"), "--resize", "16")
    told = _json(capsys, arguments)
    assert isinstance(told["extractor"], dict)
    assert (told["extractor"]["name"], told["extractor"]["features"]) == ("means.pt", 3)
    assert told["resize"] == "32 px to 16 px, antialiased bicubic"
    assert told["warnings"] == []


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--metric", "is"], "there is no metric 'is'; choose from fid, kid, pr"),
        (["--metric", ","], "no metric is named; choose from fid, kid, pr"),
        (["-n", "7"], "-n"),
        (["--dataset", "digitz"], "did you mean digits?"),
        (["--extractor", "/does/not/exist"], "/does/not/exist cannot be read"),
        (
            ["--extractor", "inception"],
            "inception needs its weights: add --download, or --inception-weights FILE",
        ),
        (["--inception-weights", "x"], "--inception-weights is for --extractor inception"),
        (["--extractor", "inception", "--inception-weights", "/does/not/exist"], "/does/not/exist cannot be"),
        (["--resize", "64"], "--resize is for a TorchScript file"),
        (["--version", "3"], "leave --version out"),
        (["--run", "x"], "leave one out"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    more: list[str], line: str, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(_score(weights, *more)) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert line in shown.err


def test_nothing_to_score_and_nothing_to_compare_with(
    weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("P2PGAN_RENDEZVOUS", raising=False)
    assert main.run(["score", "--dataset", "digits"]) == 2
    assert "--rendezvous DSN or --weights FILE" in capsys.readouterr().err
    assert main.run(["score", "--weights", str(weights)]) == 2
    assert "--dataset" in capsys.readouterr().err


def test_too_few_real_images(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(7):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{index}.png")
    assert main.run([*_score(weights), "--dataset", f"folder:{tmp_path}"]) == 2
    assert "7 real images cannot be compared: scores need 8" in capsys.readouterr().err
