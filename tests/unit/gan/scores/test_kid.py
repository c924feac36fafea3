from __future__ import annotations

import pytest
import torch

from p2pgan.gan.scores import kid
from p2pgan.gan.scores.kid import bootstrap_interval, kernel_distance


def _normal(rows: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)) + shift


def test_a_case_by_hand() -> None:
    """Kernel (xy + 1)^3 of one feature: 8 among the ones, 1 among the zeros and between both."""
    assert kernel_distance(torch.ones(3, 1), torch.zeros(2, 1), 1) == pytest.approx(8 + 1 - 2)


def test_pairs_of_an_image_with_itself_do_not_count() -> None:
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0]])

    def kernel(a: float, b: float) -> float:
        return (a * b + 1) ** 3

    among_x = (kernel(0, 1) + kernel(0, 2) + kernel(1, 2)) / 3
    between = sum(kernel(a, b) for a in (0, 1, 2) for b in (1, 3)) / 6
    assert kernel_distance(x, y, 1) == pytest.approx(among_x + kernel(1, 3) - 2 * between)


def test_it_is_unbiased() -> None:
    """Over many small sets of one distribution the estimates have mean zero, and some are below it."""
    estimates = torch.tensor([kernel_distance(_normal(20, i), _normal(20, 1000 + i), 1) for i in range(300)])
    error = float(estimates.std()) / 300**0.5
    assert abs(float(estimates.mean())) < 3 * error
    assert float(estimates.min()) < 0


def test_subsets_of_larger_sets_follow_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _normal(300, 1), _normal(400, 2, shift=0.5)
    whole = kernel_distance(x, y[:300], 1)
    monkeypatch.setattr(kid, "SUBSET_SIZE", 100)
    assert kernel_distance(x, y, 1) == kernel_distance(x, y, 1) != kernel_distance(x, y, 2)
    assert kernel_distance(x, y, 1) == pytest.approx(whole, rel=0.3)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    far = kernel_distance(_normal(1000, 1), _normal(1000, 2, shift=1.0), 1)
    inside = 0
    for seed in range(40):
        low, high = bootstrap_interval(_normal(80, 10 + seed), _normal(80, 500 + seed, shift=1.0), 1)
        assert low < high
        inside += low < far < high
    assert inside >= 32


def test_the_interval_is_around_the_estimate_and_does_not_depend_on_how_the_matrix_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = _normal(150, 1), _normal(170, 2, shift=0.5)
    low, high = bootstrap_interval(x, y, 3)
    assert low < kernel_distance(x, y, 3) < high
    monkeypatch.setattr(kid, "ROWS", 64)
    assert bootstrap_interval(x, y, 3) == pytest.approx((low, high))
    assert bootstrap_interval(x, y, 4) != pytest.approx((low, high))
