import math

import pytest
import torch

from p2pgan.gan.ema import ema_update, half_life_at
from p2pgan.gan.losses import discriminator_loss, generator_loss
from p2pgan.gan.regularizers import r1_penalty


def test_losses_are_cross_entropies():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    expected = -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), -fake.sigmoid().log().mean())


def test_losses_of_an_undecided_discriminator():
    zero = torch.zeros(4)
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(zero).item() == pytest.approx(math.log(2))


def test_confident_logits_do_not_overflow():
    far = torch.tensor([1e4])
    assert discriminator_loss(-far, far).item() == 2e4
    assert generator_loss(far).item() == 0.0


def test_r1_is_the_squared_gradient_norm():
    images = torch.zeros(2, 3, 4, 4, requires_grad=True)
    scale = torch.tensor([2.0, 3.0]).view(2, 1, 1, 1)
    logits = (images * scale).sum(dim=(1, 2, 3))
    assert r1_penalty(logits, images).item() == (4 * 48 + 9 * 48) / 2


def test_r1_can_be_lowered():
    weight = torch.tensor(2.0, requires_grad=True)
    images = torch.ones(1, 1, 1, 1, requires_grad=True)
    penalty = r1_penalty((weight * images).flatten(), images)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.item() == 4.0


def test_a_young_average_forgets_its_start_faster():
    assert half_life_at(1000, 10_000.0) == 100.0
    assert half_life_at(1_000_000, 10_000.0) == 10_000.0
    assert half_life_at(0, 10_000.0) == 1.0


def test_ema_forgets_half_in_a_half_life_however_it_is_cut():
    ema, target = torch.ones(3), torch.zeros(3)
    for images in (100, 300, 600):
        ema_update(ema, target, images, half_life=1000.0)
    torch.testing.assert_close(ema, torch.full((3,), 0.5))
