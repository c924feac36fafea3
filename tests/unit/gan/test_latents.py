"""Noise that is cut off, and noise on the way between drawn points."""

import pytest
import torch

from p2pgan.errors import ConfigError
from p2pgan.gan.latents import STOPS, between, drawn_latents, truncated, walk_point
from p2pgan.gan.randomness import image_latents


def test_truncated_noise_is_normal_noise_without_its_ends() -> None:
    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    kept = truncated(noise, 1.0)
    assert kept.abs().max() <= 1.0
    inside = noise[noise.abs() <= 1.0]
    quantiles = torch.linspace(0.05, 0.95, 19)
    assert torch.allclose(kept.quantile(quantiles), inside.quantile(quantiles), atol=0.01)
    assert torch.equal(kept.sort().values, kept[noise.argsort()])


def test_hardly_any_truncation_changes_hardly_anything() -> None:
    noise = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(truncated(noise, 8.0), noise, atol=1e-4)


def test_the_furthest_noise_stays_finite() -> None:
    assert truncated(torch.tensor([-40.0, 40.0]), 2.0).tolist() == [-2.0, 2.0]


@pytest.mark.parametrize("truncation", [0.0, -1.0, float("nan")])
def test_no_noise_is_left_of_such_a_truncation(truncation: float) -> None:
    with pytest.raises(ConfigError, match="leaves no noise"):
        drawn_latents(1, 0, 2, 4, truncation)


def test_without_truncation_the_noise_is_that_of_the_images() -> None:
    assert torch.equal(drawn_latents(3, 5, 2, 4, None), image_latents(3, 5, 2, 4))


def test_points_on_the_way_are_as_far_from_0_as_its_ends() -> None:
    start, end = image_latents(1, 0, 2, 512)
    ends = torch.stack([start, end]).norm(dim=1)
    for way in (0.25, 0.5, 0.75):
        assert ends.min() * 0.98 < between(start, end, way).norm() < ends.max() * 1.02
    assert torch.equal(between(start, end, 0.0), start)
    assert torch.allclose(between(start, end, 1.0), end, atol=1e-6)


def test_points_in_one_line_have_a_straight_way() -> None:
    start = torch.tensor([[1.0], [2.0]])
    assert torch.allclose(between(start, -start, 0.25), start / 2)


def test_a_walk_visits_its_stops() -> None:
    stops = image_latents(1, 0, STOPS * 2, 16).view(STOPS, 2, 16)
    for number in range(STOPS):
        assert torch.equal(walk_point(stops, number / STOPS), stops[number])
    end = walk_point(stops, 1 - 1e-6)
    assert torch.allclose(end, stops[0], atol=1e-3)
