from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from p2pgan.gan.regularizers import between, gradient_penalty, r1_penalty

STEP = 1e-4


def smooth_network() -> nn.Module:
    """In double precision, so that differences of values are worth something."""
    torch_source = torch.Generator().manual_seed(1)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch_source))
    return network


def gradient_by_differences(network: nn.Module, images: Tensor) -> Tensor:
    """dD/dx of each image, one pixel after the other."""
    flat = images.detach().flatten(1)
    columns = []
    for pixel in range(flat.shape[1]):
        change = torch.zeros_like(flat)
        change[:, pixel] = STEP
        up, down = (network((flat + sign * change).view_as(images)) for sign in (1, -1))
        columns.append((up - down) / (2 * STEP))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize(
    ("penalty", "of_norms"),
    [
        (r1_penalty, lambda norms: norms.square().mean()),
        (gradient_penalty, lambda norms: (norms - 1).square().mean()),
    ],
)
def test_penalties_agree_with_finite_differences(
    penalty: Callable[[Tensor, Tensor], Tensor], of_norms: Callable[[Tensor], Tensor]
):
    network = smooth_network()
    images = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    with torch.no_grad():
        expected = of_norms(gradient_by_differences(network, images).norm(dim=1))
    found = penalty(network(images), images)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("penalty", [r1_penalty, gradient_penalty])
def test_the_gradient_of_a_penalty_agrees_with_finite_differences(
    penalty: Callable[[Tensor, Tensor], Tensor],
):
    """The derivative that training uses is one of a derivative."""
    network = smooth_network()
    images = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    weight = network[1].weight  # type: ignore[index]  # it is a Sequential
    penalty(network(images), images).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    for place in ((0, 0), (2, 7), (4, 11)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * 1e-2
            values.append(penalty(network(images), images).item())
            with torch.no_grad():
                weight[place] -= sign * 1e-2
        assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-2, rel=2e-2, abs=1e-3)


def test_r1_is_the_squared_gradient_norm():
    images = torch.zeros(2, 3, 4, 4, requires_grad=True)
    scale = torch.tensor([2.0, 3.0]).view(2, 1, 1, 1)
    assert r1_penalty((images * scale).sum(dim=(1, 2, 3)), images).item() == (4 * 48 + 9 * 48) / 2


def test_r1_can_be_lowered():
    weight = torch.tensor(2.0, requires_grad=True)
    images = torch.ones(1, 1, 1, 1, requires_grad=True)
    r1_penalty((weight * images).flatten(), images).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.item() == 4.0


def test_a_flat_critic_has_a_penalty_that_can_be_differentiated():
    images = torch.zeros(2, 3, 4, 4, requires_grad=True)
    weight = torch.zeros((), requires_grad=True)
    gradient_penalty((images * weight).sum(dim=(1, 2, 3)), images).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert torch.isfinite(weight.grad)


def test_between_goes_from_real_to_drawn_images():
    real, fake = torch.zeros(3, 3, 2, 2), torch.ones(3, 3, 2, 2)
    mixed = between(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert mixed.requires_grad
    assert mixed.flatten(1).mean(dim=1).tolist() == [0.0, 0.25, 1.0]
