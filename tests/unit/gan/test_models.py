import pytest
import torch
from torch import nn

from p2pgan.averaging.flatten import flatten, layout_of
from p2pgan.gan.config import RESOLUTIONS, ModelConfig
from p2pgan.gan.models import build, layout_for, run_network
from p2pgan.gan.nets.layers import SpectralConv2d, SpectralLinear

SHAPES = [(name, resolution) for name, sizes in RESOLUTIONS.items() for resolution in sizes]
SMALL = [(name, resolution) for name, resolution in SHAPES if resolution < 128]
SCHEMAS = {
    ("dcgan", 32): "1dbb4047e41a7f392a9ec6130f288b65404cebb7d176453952767a992eabce79",
    ("dcgan", 64): "c2f2e7583388aa6cbcaf2d776a9950088c22b51ea718a3820d0c24da17ec04d6",
    ("mlp", 32): "ec0efe78a0254a067c10abba33aa1cb7e69736870f1bbbeaf88dff665af2f471",
}
"""Of runs that exist: their weights could not be read any more if these changed."""


def model(name: str, resolution: int, **more: object) -> ModelConfig:
    return ModelConfig.model_validate({"name": name, "resolution": resolution, "width": 8, **more})


def noise(config: ModelConfig, count: int = 3) -> torch.Tensor:
    return torch.randn(count, config.latent_dim, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize(("name", "resolution"), SHAPES)
def test_shapes_and_range(name: str, resolution: int, classes: int):
    config = model(name, resolution, num_classes=classes)
    generator, discriminator = build(config, seed=1)
    labels = torch.tensor([0, 3, 1]) if classes else None
    with torch.no_grad():
        images = run_network(generator, noise(config), labels)
        assert images.shape == (3, 3, resolution, resolution)
        assert 0.1 < images.std() < 1.3, "neither flat nor far out at the start"
        if name != "r3":
            assert images.abs().max() <= 1.0
        logits = run_network(discriminator, images, labels)
        assert logits.shape == (3,)
        assert logits.abs().max() < 50


@pytest.mark.parametrize("name", list(RESOLUTIONS))
def test_labels_decide_images_and_logits(name: str):
    config = model(name, 32, num_classes=2)
    generator, discriminator = build(config, seed=1)
    zero, one = torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64)
    with torch.no_grad():
        images = run_network(generator, noise(config), zero)
        assert not torch.equal(images, run_network(generator, noise(config), one))
        assert torch.equal(
            run_network(discriminator, images, zero), run_network(discriminator, images, one)
        ), "the projection starts at zero"
        for parameter in discriminator.projection.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
        assert not torch.equal(
            run_network(discriminator, images, zero), run_network(discriminator, images, one)
        )


def test_mlp_is_the_cifar_net():
    generator, discriminator = build(ModelConfig(name="mlp"), seed=1)
    sizes = [tuple(p.shape) for p in (*generator.parameters(), *discriminator.parameters()) if p.ndim == 2]
    assert sizes == [
        (256, 100), (512, 256), (1024, 512), (3072, 1024),
        (1024, 3072), (512, 1024), (256, 512), (1, 256),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "resolution"), SMALL)
def test_the_seed_decides_the_weights_and_nothing_else_does(name: str, resolution: int):
    config = model(name, resolution, num_classes=3)
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
def test_the_layout_is_known_without_building(name: str, resolution: int):
    config = model(name, resolution)
    pair = build(config, seed=1)
    assert layout_for(config) == layout_of(*pair)
    kept = [name for network in pair for name in network.state_dict()]
    assert kept == [entry.name for entry in layout_of(*pair).entries], "learned parameters only"


@pytest.mark.parametrize(("name", "resolution"), list(SCHEMAS))
def test_the_layout_of_runs_that_exist_stays(name: str, resolution: int):
    config = ModelConfig.model_validate({"name": name, "resolution": resolution})
    assert layout_for(config).schema_hash == SCHEMAS[name, resolution]


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_the_norm_can_be_chosen(name: str):
    kinds = {"group": nn.GroupNorm, "batch": nn.BatchNorm2d}
    for norm in ("group", "batch", "none"):
        generator, discriminator = build(model(name, 32, norm=norm), seed=1)
        found = {type(layer) for layer in generator.modules()} & {nn.GroupNorm, nn.BatchNorm2d}
        assert found == ({kinds[norm]} if norm in kinds else set())
        in_d = any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules())
        assert in_d == (name == "dcgan" and norm == "batch")


def test_r3_comes_in_two_sizes():
    assert layout_for(ModelConfig(name="r3", size="small")).size > 4 * layout_for(ModelConfig(name="r3")).size


@pytest.mark.parametrize("layer", [SpectralConv2d(4, 6, 3), SpectralLinear(7, 5)])
def test_spectral_layers_have_norm_one(layer: SpectralConv2d | SpectralLinear):
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=source) * 3)
    layer.settle()
    layer.advance(20)
    norm = torch.linalg.matrix_norm(layer._normalised().flatten(1), ord=2)
    assert norm.item() == pytest.approx(1.0, abs=1e-3)


def test_settling_depends_on_the_weights_alone():
    one, two = SpectralLinear(7, 5), SpectralLinear(7, 5)
    with torch.no_grad():
        two.weight.copy_(one.weight)
    one.settle()
    two.advance()
    two.settle()
    assert torch.equal(one.direction, two.direction)
    assert list(one.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("name", ["mlp", "dcgan", "resnet", "r3"])
def test_at_first_the_noise_says_more_than_the_class(name: str) -> None:
    """Or each class soon has one image."""
    config = model(name, 32, num_classes=10)
    generator, _ = build(config, seed=1)
    latents = torch.randn(20, config.latent_dim, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(10).repeat_interleave(20)
    with torch.no_grad():
        drawn = generator(latents.repeat(10, 1), labels).view(10, 20, -1)
    by_noise, by_class = drawn.var(dim=1).mean(), drawn.var(dim=0).mean()
    assert by_noise > 4 * by_class > 0
