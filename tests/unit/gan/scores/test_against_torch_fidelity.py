"""The arithmetic of the scores is that of torch-fidelity, on the same features."""

from __future__ import annotations

import pytest
import torch

from p2pgan.gan.scores.fid import frechet_distance
from p2pgan.gan.scores.kid import kernel_distance
from p2pgan.gan.scores.precision_recall import precision_and_recall

pytest.importorskip("torch_fidelity", reason="torch-fidelity is an extra: pip install 'p2pgan[fid]'")

Sets = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module", params=[(600, 48), (60, 128)], ids=["many", "fewer than features"])
def sets(request: pytest.FixtureRequest) -> Sets:
    """Like features: correlated, not negative, of two distributions that overlap."""
    count, width = request.param
    source = torch.Generator().manual_seed(1)
    mix = torch.randn(width, width, generator=source) / width**0.5
    real = torch.randn(count, width, generator=source) @ mix
    drawn = 1.1 * torch.randn(count, width, generator=source) @ mix + 0.05
    return drawn.relu(), real.relu()


def test_fid(sets: Sets) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(features.double()) for features in sets]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(*sets) == pytest.approx(theirs, rel=1e-3)


def test_kid(sets: Sets) -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    drawn, real = (features.double() for features in sets)
    theirs = kid_features_to_metric(drawn, real, kid_subsets=1, kid_subset_size=len(real), verbose=False)
    assert kernel_distance(*sets, seed=1) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)


def test_precision_and_recall(sets: Sets) -> None:
    metric = pytest.importorskip("torch_fidelity.metric_prc", reason="torch-fidelity before 0.4 has none")
    theirs = metric.prc_features_to_metric(*sets, prc_neighborhood=3, verbose=False)
    expected = (theirs["precision"], theirs["recall"])
    assert precision_and_recall(*sets) == pytest.approx(expected, abs=1e-3)
