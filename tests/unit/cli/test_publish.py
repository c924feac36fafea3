"""What the model card of a run says of its scores; tests/contract/hub has the rest of ``p2pgan publish``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from p2pgan.cli.main import run
from p2pgan.gan.config import parse_config
from p2pgan.gan.data import ImageSet
from p2pgan.gan.models import layout_for
from p2pgan.gan.trainer import Trainer
from p2pgan.peer import stored
from p2pgan.rendezvous import ScoreRow
from tests.unit.gan.conftest import images, one_thread

__all__ = ["images", "one_thread"]

Card = Callable[..., str]
CONFIG = parse_config({"model": {"width": 8, "latent_dim": 8}})
OWN_SCORES = """{"scores": {"kid": {"value": 0.25, "floor": 0.01}}, "n": 40,
"reference": {"dataset": "mnist"}, "extractor": {"name": "builtin"},
"source": "version 40 of faces, 9,000 images"}"""


@pytest.fixture
def card_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, images: ImageSet) -> Card:
    """The card of version 40, whose run has this score and data set."""
    weights = Trainer(CONFIG, images).theta()[layout_for(CONFIG.model).slice_of("G")]

    def card(score: ScoreRow | None, dataset: str, *flags: str) -> str:
        generator = stored.StoredGenerator("faces", 40, "d" * 64, 9000, CONFIG, weights)
        monkeypatch.setattr(stored, "read_generator", lambda *_: generator)
        monkeypatch.setattr(stored, "read_facts", lambda *_: stored.RunFacts(dataset, 3, score))
        out = tmp_path / "card"
        command = [
            "publish",
            "--repo",
            "ann/faces",
            "--rendezvous",
            "embedded:x",
            "--dry-run",
            "--out",
            str(out),
        ]
        assert run([*command, *flags]) == 0
        return (out / "README.md").read_text()

    return card


def test_the_card_has_the_score_of_its_version(card_of: Card) -> None:
    text = card_of(ScoreRow(40, 12.5, 0.5, 1000, "builtin", "e" * 64), "digits")
    assert "1,000 drawn images against those of digits, on features of builtin." in text
    assert "| fid | 12.5 | 0.5 |" in text


def test_a_score_of_an_earlier_version_says_so_and_no_path_of_a_machine(card_of: Card) -> None:
    text = card_of(ScoreRow(20, 12.5, 0.5, 1000, "builtin", "e" * 64), "folder:/home/ann/faces")
    assert "drawn images of version 20, before it was trained on, against those of the data set" in text
    assert "/home/ann" not in text


def test_a_run_that_was_never_scored_has_none(card_of: Card) -> None:
    assert "## Scores" not in card_of(None, "digits")


def test_scores_that_are_given_go_before_the_runs(card_of: Card, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text(OWN_SCORES)
    flags = ("--scores", str(tmp_path / "scores.json"))
    text = card_of(ScoreRow(40, 12.5, 0.5, 1000, "builtin", "e" * 64), "digits", *flags)
    assert "| kid | 0.25 | 0.01 |" in text
    assert "fid" not in text
