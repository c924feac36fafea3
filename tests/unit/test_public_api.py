"""What the package offers to a program in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import p2pgan
from p2pgan.errors import ConfigError


class Threads(p2pgan.Callbacks):
    def on_progress(self, images: int, goal: int) -> None:
        self.seen = torch.get_num_threads()


def _train(out: Path, **more: object) -> p2pgan.Trained:
    model = {"width": 8, "latent_dim": 8}
    config = p2pgan.GanConfig.model_validate({"model": model, "microbatch": 16})
    return p2pgan.train(config, out=out, images_goal=16, **more)  # type: ignore[arg-type]  # of several types


def test_a_training_says_how_it_goes_unless_it_is_to_be_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _train(tmp_path / "loud")
    said = capsys.readouterr().out
    assert " unit      unit 1 done: " in said
    assert "images, samples in " in said
    _train(tmp_path / "quiet", quiet=True)
    assert capsys.readouterr().out == ""


def test_a_training_takes_the_threads_it_may_have_and_gives_them_back(tmp_path: Path) -> None:
    before, threads = torch.get_num_threads(), Threads()
    _train(tmp_path, threads=before + 1, callbacks=[threads], quiet=True)
    assert (threads.seen, torch.get_num_threads()) == (before + 1, before)


@pytest.mark.parametrize("threads", [0, 100_000])
def test_so_many_threads_are_refused_before_anything_is_made(tmp_path: Path, threads: int) -> None:
    with pytest.raises(ConfigError, match=f"{threads} threads cannot train; give 1 to 256"):
        _train(tmp_path / "new", threads=threads)
    assert not (tmp_path / "new").exists()
