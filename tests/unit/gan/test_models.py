import pytest
import torch

from p2pgan.averaging.flatten import flatten, layout_of
from p2pgan.gan.config import ModelConfig
from p2pgan.gan.models import build, layout_for

SHAPES = [("mlp", 32), ("dcgan", 32), ("dcgan", 64)]


def model(name: str, resolution: int) -> ModelConfig:
    return ModelConfig.model_validate({"name": name, "resolution": resolution, "width": 8})


@pytest.mark.parametrize(("name", "resolution"), SHAPES)
def test_shapes_and_range(name: str, resolution: int):
    config = model(name, resolution)
    generator, discriminator = build(config, seed=1)
    with torch.no_grad():
        images = generator(torch.randn(3, config.latent_dim, generator=torch.Generator().manual_seed(1)))
        assert images.shape == (3, 3, resolution, resolution)
        assert images.abs().max() <= 1.0
        assert 0.1 < images.std() < 0.95, "neither flat nor saturated at the start"
        assert discriminator(images).shape == (3,)


def test_mlp_is_the_cifar_net():
    generator, discriminator = build(ModelConfig(name="mlp"), seed=1)
    sizes = [tuple(p.shape) for p in (*generator.parameters(), *discriminator.parameters()) if p.ndim == 2]
    assert sizes == [
        (256, 100), (512, 256), (1024, 512), (3072, 1024),
        (1024, 3072), (512, 1024), (256, 512), (1, 256),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "resolution"), SHAPES)
def test_the_seed_decides_the_weights_and_nothing_else_does(name: str, resolution: int):
    config = model(name, resolution)
    layout = layout_for(config)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build(config, seed=1)
    assert torch.equal(torch.get_rng_state(), before), "the process's random state is left alone"
    torch.manual_seed(6)
    second, other = build(config, seed=1), build(config, seed=2)
    assert torch.equal(flatten(layout, *first), flatten(layout, *second))
    assert not torch.equal(flatten(layout, *first), flatten(layout, *other))


@pytest.mark.parametrize(("name", "resolution"), SHAPES)
def test_there_are_no_buffers_and_the_layout_is_known_without_building(name: str, resolution: int):
    config = model(name, resolution)
    pair = build(config, seed=1)
    assert not [*pair[0].buffers(), *pair[1].buffers()]
    assert layout_for(config) == layout_of(*pair)
