import math

import pytest
import torch

from p2pgan.gan.ema import ema_update, half_life_at
from p2pgan.gan.losses import LOSSES, discriminator_loss, generator_loss

REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


HAND_COMPUTED = {
    "bce": (
        (softplus(-2.0) + softplus(1.0)) / 2 + (softplus(0.5) + softplus(-3.0)) / 2,
        (softplus(-0.5) + softplus(3.0)) / 2,
    ),
    # Margins: 1 - 2 is over, 1 + 1 = 2; 1 + 0.5 = 1.5, 1 - 3 is over.
    "hinge": (2.0 / 2 + 1.5 / 2, 1.25),
    "wgan-gp": (-1.25 - 0.5, 1.25),
    # Pairs differ by 1.5 and by 2.
    "rp": ((softplus(-1.5) + softplus(-2.0)) / 2, (softplus(1.5) + softplus(2.0)) / 2),
}


@pytest.mark.parametrize("name", list(LOSSES))
def test_losses_have_the_values_computed_by_hand(name: str):
    loss, (of_d, of_g) = LOSSES[name], HAND_COMPUTED[name]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(of_d)
    assert loss.generator(FAKE, REAL if loss.paired else None).item() == pytest.approx(of_g)


@pytest.mark.parametrize("name", list(LOSSES))
def test_each_side_lowers_its_loss_in_the_right_direction(name: str):
    loss = LOSSES[name]
    real, fake = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    loss.discriminator(real, fake).backward()  # type: ignore[no-untyped-call]
    assert real.grad is not None
    assert fake.grad is not None
    assert (real.grad < 0).all(), "up with real logits"
    assert (fake.grad > 0).all(), "down with drawn ones"
    fake.grad = None
    loss.generator(fake, torch.zeros(3) if loss.paired else None).backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_mean_of_parts_is_the_whole(name: str):
    """What gradient accumulation relies on."""
    source = torch.Generator().manual_seed(1)
    real, fake = torch.randn(2, 8, generator=source)
    whole = LOSSES[name].discriminator(real, fake)
    parts = [LOSSES[name].discriminator(real[p], fake[p]) for p in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_losses_of_an_undecided_discriminator():
    zero = torch.zeros(4)
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(zero).item() == pytest.approx(math.log(2))


def test_confident_logits_do_not_overflow():
    far = torch.tensor([1e4])
    assert discriminator_loss(-far, far).item() == 2e4
    assert generator_loss(far).item() == 0.0


def test_a_young_average_forgets_its_start_faster():
    assert half_life_at(1000, 10_000.0) == 100.0
    assert half_life_at(1_000_000, 10_000.0) == 10_000.0
    assert half_life_at(0, 10_000.0) == 1.0


def test_ema_forgets_half_in_a_half_life_however_it_is_cut():
    ema, target = torch.ones(3), torch.zeros(3)
    for images in (100, 300, 600):
        ema = ema_update(ema, target, images, half_life=1000.0)
    torch.testing.assert_close(ema, torch.full((3,), 0.5))
