from __future__ import annotations

import pytest
import torch

from p2pgan.gan.scores import precision_recall
from p2pgan.gan.scores.precision_recall import precision_and_recall


def _normal(rows: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed)) + shift


def test_identical_sets_cover_each_other() -> None:
    assert precision_and_recall(_normal(50, 1), _normal(50, 1)) == (1.0, 1.0)


def test_sets_that_are_far_apart_cover_nothing() -> None:
    assert precision_and_recall(_normal(50, 1), _normal(60, 2, shift=100.0)) == (0.0, 0.0)


def test_a_line_by_hand() -> None:
    """Real images at 0 to 9, each covering 3 at the ends and 2 within; drawn ones at 0, 1, 2, 3, 12, 13."""
    real = torch.arange(10.0)[:, None]
    drawn = torch.tensor([0.0, 1, 2, 3, 12, 13])[:, None]
    # Drawn: 13 is 4 from the nearest real one. Their own reaches: 3, 2, 2, 3, 10, 11.
    assert precision_and_recall(drawn, real) == (pytest.approx(5 / 6), 1.0)
    assert precision_and_recall(drawn[:4], real) == (1.0, pytest.approx(7 / 10))


def test_one_mode_of_two_has_precision_without_recall() -> None:
    mode, other = _normal(100, 1), _normal(100, 2, shift=50.0)
    precision, recall = precision_and_recall(_normal(100, 3), torch.cat([mode, other]))
    assert precision > 0.9
    assert 0.4 < recall <= 0.5


def test_a_generator_that_always_draws_the_same_has_no_recall() -> None:
    real = _normal(100, 1)
    precision, recall = precision_and_recall(real[:1].expand(80, -1), real)
    assert (precision, recall) == (1.0, pytest.approx(0.01))


def test_it_does_not_depend_on_how_the_matrix_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, real = _normal(90, 1, shift=0.8), _normal(70, 2)
    whole = precision_and_recall(drawn, real)
    assert 0 < whole[0] < 1
    monkeypatch.setattr(precision_recall, "ENTRIES", 500)
    assert precision_and_recall(drawn, real) == whole
