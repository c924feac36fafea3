import torch

from p2pgan.gan.randomness import derive_seed, epoch_permutation, image_latents, microbatch_latents

ORDER_OF_TEN = [4, 3, 7, 8, 0, 5, 2, 9, 1, 6]


def test_seeds_of_different_parts_differ():
    seeds = {derive_seed(1, "a", 2), derive_seed(1, "a", 3), derive_seed(1, "b", 2), derive_seed(2, "a", 2)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_an_epoch_visits_every_image_once():
    order = epoch_permutation(1, 3, 1000)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(1000))
    assert not torch.equal(order, epoch_permutation(1, 4, 1000))
    assert not torch.equal(order, epoch_permutation(2, 3, 1000))


def test_the_order_is_the_same_on_every_machine_and_release():
    assert epoch_permutation(1, 0, 10).tolist() == ORDER_OF_TEN


def test_noise_depends_on_the_place_in_the_epoch():
    noise = microbatch_latents(1, 0, 64, 64, 16)
    assert noise.shape == (64, 16)
    assert torch.equal(noise, microbatch_latents(1, 0, 64, 64, 16))
    for other in ((2, 0, 64), (1, 1, 64), (1, 0, 128)):
        assert not torch.equal(noise, microbatch_latents(*other, 64, 16))


def test_noise_of_an_image_depends_on_its_index_alone():
    assert torch.equal(image_latents(1, 0, 8, 5)[3:], image_latents(1, 3, 5, 5))
    assert not torch.equal(image_latents(1, 0, 8, 5), image_latents(2, 0, 8, 5))
