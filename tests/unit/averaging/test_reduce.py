import itertools

import pytest
import torch

from p2pgan.averaging.outer import outer_step
from p2pgan.averaging.reduce import Rejected, aggregate
from p2pgan.averaging.rules import rule
from p2pgan.errors import InternalError


def weighted_mean(slices, weights):
    length = len(next(iter(slices.values()), []))
    return aggregate(rule("mean"), slices, weights, [slice(0, length)])


def test_images_weigh():
    mean = weighted_mean({"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([5.0, 6.0])}, {"a": 3, "b": 1})
    assert mean.dtype == torch.float32
    assert mean.tolist() == [2.0, 3.0]


def test_one_peer_keeps_its_bits():
    vector = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(weighted_mean({"a": vector}, {"a": 37}), vector)


def test_the_order_of_arrival_does_not_matter():
    source = torch.Generator().manual_seed(1)
    slices = {peer: torch.randn(257, generator=source) for peer in "dacb"}
    weights = {"a": 64, "b": 100, "c": 3, "d": 512}
    means = [
        weighted_mean({p: slices[p] for p in order}, weights) for order in itertools.permutations(slices)
    ]
    assert all(torch.equal(mean, means[0]) for mean in means)


def test_it_is_the_mean_over_the_joint_images():
    source = torch.Generator().manual_seed(2)
    per_image = torch.randn(90, 33, generator=source)
    slices = {"a": per_image[:64].mean(0), "b": per_image[64:].mean(0)}
    mean = weighted_mean(slices, {"a": 64, "b": 26})
    torch.testing.assert_close(mean, per_image.mean(0))


@pytest.mark.parametrize(
    ("vector", "weight", "what"),
    [
        (torch.tensor([1.0, float("nan")]), 1, "not finite"),
        (torch.tensor([float("inf"), 0.0]), 1, "not finite"),
        (torch.tensor([1.0]), 1, "shape"),
        (torch.tensor([1.0, 2.0], dtype=torch.float64), 1, "float64"),
        (torch.tensor([1.0, -2e30]), 1, "beyond 1e\\+30"),
        (torch.tensor([1.0, 2.0]), 0, "weight 0"),
        (torch.tensor([1.0, 2.0]), -5, "weight -5"),
    ],
)
def test_a_faulty_contribution_names_its_peer(vector: torch.Tensor, weight: int, what: str):
    with pytest.raises(Rejected, match=f"peer bad .*{what}") as caught:
        weighted_mean({"a": torch.zeros(2), "bad": vector}, {"a": 1, "bad": weight})
    assert caught.value.peer == "bad"


def test_vectors_without_weights_are_a_defect():
    with pytest.raises(InternalError):
        weighted_mean({"a": torch.zeros(2)}, {})
    with pytest.raises(InternalError):
        weighted_mean({}, {})


def test_the_outer_step_rounds_product_and_sum_apart():
    source = torch.Generator().manual_seed(3)
    theta, mean = torch.randn(4096, generator=source), torch.randn(4096, generator=source)
    alpha = 0.7
    # In float64 the product of two float32 numbers is exact, so this rounds exactly twice.
    product = (mean.double() * torch.tensor(alpha).double()).float()
    expected = (theta.double() + product.double()).float()
    assert torch.equal(outer_step(theta, mean, alpha), expected)


def test_the_outer_step_leaves_its_inputs():
    theta, mean = torch.ones(3), torch.ones(3)
    assert outer_step(theta, mean, 1.0).tolist() == [2.0, 2.0, 2.0]
    assert theta.tolist() == mean.tolist() == [1.0, 1.0, 1.0]
