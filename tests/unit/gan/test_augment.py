import pytest
import torch

from p2pgan.gan.augment import Augment, augment_draws
from p2pgan.gan.config import AugmentConfig

KINDS = ("color", "translation", "cutout")


def pictures(count: int = 6, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def augment(*kinds: str, **more: object) -> Augment:
    return Augment(AugmentConfig.model_validate({"policy": kinds, **more}))


def test_draws_follow_from_the_place_in_the_epoch():
    draws = augment_draws(1, 0, 64, 8)
    assert draws.shape == (3, 8, 10)
    assert torch.equal(draws, augment_draws(1, 0, 64, 8))
    for other in ((2, 0, 64), (1, 1, 64), (1, 0, 128)):
        assert not torch.equal(draws, augment_draws(*other, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_images_and_none_does_at_strength_zero(kind: str):
    images, draws = pictures(), augment_draws(1, 0, 0, 6)[0]
    assert not torch.equal(augment(kind)(images, draws), images)
    assert augment(kind, strength=0.0)(images, draws) is images
    torch.testing.assert_close(augment(kind, strength=1e-6)(images, draws), images)
    assert augment()(images, draws) is images


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_is_changed_by_its_own_draws(kind: str):
    """So a batch in parts is the batch."""
    images, draws = pictures(), augment_draws(1, 0, 0, 6)[0]
    whole = augment(kind)(images, draws)
    parts = torch.cat([augment(kind)(images[p], draws[p]) for p in (slice(0, 2), slice(2, 6))])
    torch.testing.assert_close(parts, whole)


def test_color_by_hand():
    image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    draws = torch.tensor([[0.0, 0.75, 1.0, 0.5, 0, 0, 0, 0, 0, 0]])
    # 0.25 brighter; twice as far from its grey, 0.65; contrast as it was.
    expected = torch.tensor([0.25, 0.65, 1.05])
    torch.testing.assert_close(augment("color")(image, draws)[0, :, 0, 0], expected)


def test_translation_moves_whole_pixels_and_fills_with_grey():
    image = torch.ones(1, 3, 16, 16)
    draws = torch.zeros(1, 10)
    draws[0, 5:7] = torch.tensor([0.999, 0.5])  # rows by the most, columns not at all
    moved = augment("translation")(image, draws)
    assert moved[0, 0].sum(dim=1).tolist() == [16.0] * 14 + [0.0] * 2


def test_cutout_hides_a_square_of_half_a_side():
    draws = torch.zeros(1, 10)
    draws[0, 8:10] = 0.5
    cut = augment("cutout")(torch.ones(1, 3, 16, 16), draws)
    assert cut[0, 0].sum() == 16 * 16 - 8 * 8
    assert cut[0, 0, 4:12, 4:12].sum() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_learns_through_the_changes_twice_over(kind: str):
    """R1 differentiates what is differentiated again."""
    images = pictures(2, 8).double().requires_grad_()
    draws = augment_draws(1, 0, 0, 2)[0].double()
    changed = augment(kind)
    assert torch.autograd.gradcheck(lambda x: changed(x, draws), images)
    assert torch.autograd.gradgradcheck(lambda x: changed(x, draws).square(), images)


def test_an_adaptive_strength_follows_the_sign():
    adaptive = augment("color", adaptive=True, ramp_images=100, strength=0.5, target=0.6)
    assert adaptive.strength == 0.0
    assert not adaptive.active
    adaptive.follow(0.7, 20)
    assert adaptive.strength == pytest.approx(0.2)
    adaptive.follow(0.5, 10)
    assert adaptive.strength == pytest.approx(0.1)
    for _ in range(10):
        adaptive.follow(1.0, 20)
    assert adaptive.strength == 0.5, "not above what was configured"
    for _ in range(10):
        adaptive.follow(-1.0, 20)
    assert adaptive.strength == 0.0


def test_a_fixed_strength_stays():
    fixed = augment("color", strength=0.4)
    fixed.follow(1.0, 10**6)
    assert fixed.strength == 0.4
