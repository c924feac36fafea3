"""Adam as an outer optimizer: the same as torch's, and the same bits however it is cut."""

from __future__ import annotations

import pytest
import torch

from p2pgan.averaging import adam as module
from p2pgan.averaging.adam import GRADIENT_SCALE, Adam, Rate, gradient_weight, power
from p2pgan.averaging.outer import take_step

SIZE = 5000
RATES = (Rate(0, 3000, 1e-3), Rate(3000, SIZE, 4e-4))


def gradients(steps: int) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    return [torch.randn(SIZE, generator=source) * 10.0 ** -(step % 6) for step in range(steps)]


def moved(adam: Adam, steps: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    theta, state = torch.ones(SIZE), torch.zeros(adam.memory * SIZE)
    for version, gradient in enumerate(gradients(steps), start=1):
        theta, state = take_step(adam, theta, state, gradient * GRADIENT_SCALE, version, images=0)
    return theta, state


@pytest.mark.parametrize("betas", [(0.0, 0.99), (0.5, 0.999)], ids=str)
def test_the_steps_are_those_of_torchs_adam(betas: tuple[float, float]) -> None:
    reference = torch.nn.Parameter(torch.ones(SIZE))
    first, second = (reference[:3000].detach().requires_grad_(), reference[3000:].detach().requires_grad_())
    groups = [{"params": [first], "lr": 1e-3}, {"params": [second], "lr": 4e-4}]
    optimizer = torch.optim.Adam(groups, betas=betas)
    for gradient in gradients(20):
        first.grad, second.grad = gradient[:3000].clone(), gradient[3000:].clone()
        optimizer.step()

    theta, _ = moved(Adam(RATES, *betas, lambda images: 1.0))

    torch.testing.assert_close(theta, torch.cat([first, second]).detach(), rtol=0, atol=1e-6)


def test_the_size_of_a_block_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    adam = Adam(RATES, 0.5, 0.999, lambda images: 1.0)
    whole = moved(adam)
    monkeypatch.setattr(module, "BLOCK", 7)

    assert all(torch.equal(a, b) for a, b in zip(moved(adam), whole, strict=True))


def test_a_step_leaves_its_inputs_and_follows_the_schedule() -> None:
    adam = Adam((Rate(0, 3, 0.5),), 0.0, 0.99, lambda images: 0.0 if images >= 100 else 1.0)
    theta, state, mean = torch.ones(3), torch.zeros(3), torch.full((3,), GRADIENT_SCALE)

    fresh, _ = take_step(adam, theta, state, mean, 1, images=99)
    still, remembered = take_step(adam, theta, state, mean, 1, images=100)

    torch.testing.assert_close(fresh, torch.full((3,), 0.5))
    assert torch.equal(still, theta)
    assert remembered.tolist() == pytest.approx([0.01] * 3)
    assert (theta.tolist(), state.tolist()) == ([1.0] * 3, [0.0] * 3)


def test_a_power_is_made_of_products() -> None:
    assert power(0.99, 0) == 1.0
    assert power(0.99, 1000) == pytest.approx(0.99**1000, rel=1e-12)


def test_shares_of_a_contribution_add_up_to_the_mean() -> None:
    assert gradient_weight(16, 48) + gradient_weight(32, 48) == pytest.approx(GRADIENT_SCALE)
