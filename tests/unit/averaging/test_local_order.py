"""Filters with their channels last, while everyone else sees the canonical vector."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from p2pgan.averaging.flatten import Layout, flatten, layout_of
from p2pgan.averaging.local_order import LocalOrder
from p2pgan.errors import WeightsError


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(1)
    return nn.Sequential(nn.ConvTranspose2d(5, 3, 4), nn.GroupNorm(1, 3)), nn.Conv2d(3, 2, 3)


def bound(
    pair: tuple[nn.Module, nn.Module], channels_last: bool
) -> tuple[Layout, LocalOrder, Tensor, Tensor]:
    layout = layout_of(*pair)
    order = LocalOrder(layout, channels_last)
    local = order.of(flatten(layout, *pair)).clone()
    gradient = torch.zeros(layout.size)
    order.bind(local, gradient, *pair)
    return layout, order, local, gradient


@pytest.mark.parametrize("channels_last", [True, False])
def test_bound_networks_are_views_of_the_vector(channels_last: bool) -> None:
    generator, discriminator = networks()
    layout = layout_of(generator, discriminator)
    before = flatten(layout, generator, discriminator)
    _, order, local, gradient = bound((generator, discriminator), channels_last)

    assert torch.equal(flatten(layout, generator, discriminator), before), "the values stay"
    assert torch.equal(order.canonical(local), before)
    local.mul_(2.0)
    assert torch.equal(flatten(layout, generator, discriminator), 2 * before)
    discriminator(generator(torch.ones(2, 5, 1, 1))).sum().backward()
    filters = discriminator.weight.grad
    assert filters.is_contiguous(memory_format=order.images)
    d = layout.slice_of("D")
    assert torch.equal(order.canonical(gradient, "D"), order.canonical(gradient)[d])
    assert torch.equal(order.canonical(gradient, "D")[: filters.numel()], filters.reshape(-1))


def test_the_order_changes_nothing_but_the_last_bits() -> None:
    found = []
    for channels_last in (True, False):
        pair = networks()
        _, order, _, gradient = bound(pair, channels_last)
        pair[1](pair[0](torch.arange(10.0).view(2, 5, 1, 1))).square().sum().backward()
        found.append(order.canonical(gradient))
    torch.testing.assert_close(*found)
    assert found[0].abs().sum() > 0


def test_nothing_is_copied_where_no_element_moves() -> None:
    layout = layout_of(nn.Linear(3, 4), nn.Linear(4, 2))
    order, vector = LocalOrder(layout, channels_last=True), torch.arange(float(layout.size))
    assert order.of(vector) is vector
    assert order.canonical(vector, "D").data_ptr() == vector[layout.slice_of("D")].data_ptr()
    assert order.images is torch.contiguous_format


def test_a_vector_of_another_layout_is_refused() -> None:
    with pytest.raises(WeightsError, match="need float32"):
        LocalOrder(layout_of(*networks()), channels_last=True).of(torch.zeros(3))
