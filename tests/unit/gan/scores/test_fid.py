from __future__ import annotations

import math

import pytest
import torch

from p2pgan.gan.scores.fid import frechet_distance, gaussian_distance


def _normal(rows: int, columns: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gaussians_whose_covariances_commute_have_a_closed_form() -> None:
    scale_1, scale_2 = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([4.0, 1.0, 0.0]).double()
    turn = torch.linalg.qr(_normal(3, 3)).Q
    mean = torch.tensor([1.0, -2.0, 2.0]).double()
    distance = gaussian_distance(
        mean, turn * scale_1.square() @ turn.T, torch.zeros(3).double(), turn * scale_2.square() @ turn.T
    )
    assert distance == pytest.approx(9.0 + float((scale_1 - scale_2).square().sum()), abs=1e-9)


def test_one_feature() -> None:
    """(difference of means)^2 + (difference of standard deviations)^2, with n - 1."""
    drawn, real = torch.tensor([[0.0], [2.0]]), torch.tensor([[10.0], [16.0]])
    assert frechet_distance(drawn, real) == pytest.approx(12.0**2 + (math.sqrt(2) - math.sqrt(18)) ** 2)


def test_a_shift_and_a_stretch() -> None:
    features = _normal(300, 8)
    assert frechet_distance(features, features + 0.5) == pytest.approx(8 * 0.25)
    spread = float(features.var(dim=0).sum())
    assert frechet_distance(2 * (features - features.mean(0)), features - features.mean(0)) == pytest.approx(
        spread
    )


@pytest.mark.parametrize("rows", [10, 400])
def test_identical_sets_have_no_distance_however_few_they_are(rows: int) -> None:
    features = _normal(rows, 64) * 100
    assert frechet_distance(features, features.clone()) == pytest.approx(0, abs=1e-7)


def test_it_is_symmetric_where_covariances_do_not_commute_and_are_singular() -> None:
    drawn, real = _normal(20, 30, 1) @ _normal(30, 30, 2), _normal(25, 30, 3)
    assert frechet_distance(drawn, real) == pytest.approx(frechet_distance(real, drawn), rel=1e-9)
