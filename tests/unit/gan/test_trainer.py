import threading

import numpy as np
import pytest
import torch

from p2pgan.errors import ConfigError, InternalError, WeightsError
from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.data import ImageSet, open_images
from p2pgan.gan.trainer import Trainer


def trained(config: GanConfig, images: ImageSet, spans: list[tuple[int, int]]) -> torch.Tensor:
    trainer = Trainer(config, images)
    for start, stop in spans:
        trainer.train_microbatch(0, start, stop)
    return trainer.theta()


def test_a_microbatch_moves_both_networks(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)
    before = trainer.theta()
    stats = trainer.train_microbatch(0, 0, 8)
    moved = trainer.theta() != before
    assert moved[trainer.layout.slice_of("G")].float().mean() > 0.9
    assert moved[trainer.layout.slice_of("D")].float().mean() > 0.9
    assert stats.finite
    assert stats.images == 8
    assert 0 < stats.d_real < 1
    assert 0 < stats.d_fake < 1


def test_the_same_spans_give_the_same_weights(config: GanConfig, images: ImageSet):
    spans = [(0, 8), (8, 16), (32, 36)]
    assert torch.equal(trained(config, images, spans), trained(config, images, spans))
    assert not torch.equal(trained(config, images, spans), trained(config, images, spans[::-1]))


def test_r1_follows_from_the_place_in_the_epoch(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)
    for start, expected in ((16, True), (8, False), (0, True), (24, False)):
        assert (trainer.train_microbatch(0, start, start + 8).r1 is not None) is expected


def test_r1_off(config: GanConfig, images: ImageSet):
    without = config.model_copy(update={"loss": config.loss.model_copy(update={"r1_gamma": 0.0})})
    assert Trainer(without, images).train_microbatch(0, 0, 8).r1 is None


def test_theta_is_a_copy_and_load_takes_it_back(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)
    start = trainer.theta()
    trainer.train_microbatch(0, 0, 8)
    assert not torch.equal(trainer.theta(), start)
    trainer.load(start)
    assert torch.equal(trainer.theta(), start)
    start.zero_()
    assert trainer.theta().abs().sum() > 0


def test_loaded_weights_are_those_that_train(config: GanConfig, images: ImageSet):
    """Trained after a load, the networks must not go on from weights of their own."""
    one, two = Trainer(config, images), Trainer(config.model_copy(update={"seed": 9}), images)
    two.load(one.theta())
    with torch.no_grad():
        torch.testing.assert_close(two.theta(), one.theta(), rtol=0, atol=0)
    base = one.theta()
    two.train_microbatch(0, 8, 16)
    # Adam's first step moves each weight by at most the learning rate.
    assert (two.theta() - base).abs().max() <= config.optimizer.lr_g * 1.01


def test_rebase_keeps_what_was_learned(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)
    old = trainer.theta()
    trainer.train_microbatch(0, 0, 8)
    learned = trainer.theta() - old
    new = old + 0.25
    trainer.rebase(old, new)
    torch.testing.assert_close(trainer.theta(), new + learned)


def test_loading_keeps_the_optimizers_moments(config: GanConfig, images: ImageSet):
    fresh, seasoned = Trainer(config, images), Trainer(config, images)
    theta = fresh.theta()
    seasoned.train_microbatch(0, 0, 8)
    seasoned.load(theta)
    fresh.train_microbatch(0, 8, 16)
    seasoned.train_microbatch(0, 8, 16)
    assert not torch.equal(fresh.theta(), seasoned.theta())


def test_a_step_that_is_not_finite_is_left_out(config: GanConfig, images: ImageSet):
    trainer = Trainer(config, images)
    broken = trainer.theta()
    discriminator = trainer.layout.slice_of("D")
    broken[discriminator] = 1e30  # finite weights whose logits overflow
    trainer.load(broken)
    stats = trainer.train_microbatch(0, 8, 16)
    assert not stats.finite
    assert torch.equal(trainer.theta(), broken)


def test_other_images_or_positions_are_refused(config: GanConfig, images: ImageSet):
    with pytest.raises(ConfigError, match="64 px but the model is 32 px"):
        Trainer(config, ImageSet(np.zeros((4, 3, 64, 64), dtype=np.uint8)))
    trainer = Trainer(config, images)
    for start, stop in ((0, 0), (-1, 5), (39, 41)):
        with pytest.raises(InternalError):
            trainer.train_microbatch(0, start, stop)
    with pytest.raises(WeightsError):
        trainer.load(torch.zeros(3))


def test_weights_can_be_read_while_another_thread_trains(config: GanConfig, images: ImageSet):
    """Each copy is the state between two microbatches, and training is not disturbed."""
    spans = [(start, start + 8) for start in range(0, 40, 8)]
    alone = Trainer(config, images)
    states = [alone.theta()]
    for start, stop in spans:
        alone.train_microbatch(0, start, stop)
        states.append(alone.theta())

    watched = Trainer(config, images)
    seen: list[torch.Tensor] = []
    training = threading.Thread(target=lambda: [watched.train_microbatch(0, *span) for span in spans])
    training.start()
    while training.is_alive():
        seen.append(watched.theta())
    training.join()
    assert torch.equal(watched.theta(), states[-1])
    assert all(any(torch.equal(copy, state) for state in states) for copy in seen)


@pytest.mark.parametrize("name", ["dcgan", "mlp"])
def test_the_discriminator_learns_to_tell_digits_from_drawn_images(name: str):
    config = parse_config({"model": {"name": name, "width": 8}, "microbatch": 32})
    trainer = Trainer(config, open_images("digits", 32))
    stats = [trainer.train_microbatch(0, start, start + 32) for start in range(0, 1600, 32)]
    assert all(step.finite for step in stats)
    late = stats[len(stats) // 2 :]
    assert np.mean([step.d_real for step in late]) > np.mean([step.d_fake for step in late]) + 0.05
