import io
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.animation import write_animation
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.models import layout_for
from p2pgan.gan.sampling import GAP, Generator, grid_png, picture_png, write_grid
from p2pgan.gan.trainer import Trainer


@pytest.fixture
def vector(config: GanConfig, images: ImageSet) -> torch.Tensor:
    trainer = Trainer(config, images)
    return trainer.theta()[trainer.layout.slice_of("G")]


def test_an_image_depends_on_seed_and_index_alone(config: GanConfig, vector: torch.Tensor):
    generator = Generator(config, vector)
    many = generator.sample(70, seed=3)
    assert many.shape == (70, 3, 32, 32)
    assert many.dtype == torch.uint8
    assert torch.equal(generator.sample(5, seed=3), many[:5])
    assert torch.equal(Generator(config, vector).sample(66, seed=3), many[:66])
    assert not torch.equal(generator.sample(5, seed=4), many[:5])
    assert len({image.numpy().tobytes() for image in many}) == 70
    assert [len(batch) for batch in generator.batches(70, seed=3)] == [64, 6]
    assert torch.equal(torch.cat(list(generator.batches(70, seed=3))), many)


def test_a_batch_is_the_same_wherever_one_begins(config: GanConfig, vector: torch.Tensor):
    generator = Generator(config, vector, batch_size=8)
    assert torch.equal(generator.batch(8, seed=3), generator.sample(16, seed=3)[8:])
    assert [len(batch) for batch in generator.batches(20)] == [8, 8, 4]


def test_another_batch_size_rounds_differently_at_most(config: GanConfig, vector: torch.Tensor):
    few = Generator(config, vector, batch_size=5).sample(12).int()
    assert (few - Generator(config, vector).sample(12).int()).abs().max() <= 1


def test_an_interpolation_goes_from_one_image_to_another(config: GanConfig, vector: torch.Tensor):
    generator = Generator(config, vector)
    images, way = generator.sample(4, seed=3).int(), generator.interpolate(1, 3, steps=6, seed=3).int()
    assert way.shape == (6, 3, 32, 32)
    assert (way[0] - images[1]).abs().max() <= 1
    assert (way[-1] - images[3]).abs().max() <= 1
    steps = [(b - a).abs().float().mean() for a, b in pairwise(way)]
    assert 0 < max(steps) < (images[3] - images[1]).abs().float().mean()
    with pytest.raises(ConfigError, match="at least 2"):
        generator.interpolate(1, 3, steps=1)


def test_a_walk_comes_back_to_where_it_began(config: GanConfig, vector: torch.Tensor):
    generator = Generator(config, vector)
    frames = list(generator.walk(3, 24, seed=3))
    assert [frame.shape for frame in frames] == [(3, 3, 32, 32)] * 24
    stops = generator.sample(12, seed=3).int()
    for stop in range(4):
        shown = frames[6 * stop].int()
        assert (shown - stops[3 * stop : 3 * stop + 3]).abs().max() <= 1
    moves = [(b.int() - a.int()).abs().float().mean() for a, b in pairwise([*frames, frames[0]])]
    assert moves[-1] <= max(moves[:-1])


def test_classes_share_the_noise_of_a_column(config: GanConfig, vector: torch.Tensor):
    model = config.model.model_copy(update={"num_classes": 3})
    conditional = config.model_copy(update={"model": model})
    entries = layout_for(model).entries_of("G")
    noise = torch.Generator().manual_seed(1)
    generator = Generator(conditional, torch.randn(entries[-1].stop, generator=noise) / 8)
    shown = generator.by_class(2, seed=5)
    assert shown.shape == (6, 3, 32, 32)
    for label in range(3):
        same = generator.sample(2, seed=5, label=label).int()
        assert (shown[2 * label : 2 * label + 2].int() - same).abs().max() <= 1
    assert not torch.equal(shown[:2], shown[2:4])
    with pytest.raises(ConfigError, match="ignores classes"):
        Generator(config, torch.zeros(layout_for(config.model).slice_of("G").stop)).by_class(2)


def test_the_weights_are_copied(config: GanConfig, vector: torch.Tensor):
    generator = Generator(config, vector)
    before = generator.sample(2)
    vector.zero_()
    assert torch.equal(generator.sample(2), before)


def test_wrong_use(config: GanConfig, vector: torch.Tensor):
    with pytest.raises(WeightsError, match="needs"):
        Generator(config, vector[:-1])
    with pytest.raises(ConfigError, match="at least one"):
        Generator(config, vector).sample(0)


def test_a_grid_shows_the_images_row_by_row():
    images = torch.arange(5, dtype=torch.uint8).mul(40).view(5, 1, 1, 1).expand(5, 3, 8, 8)
    png = grid_png(images)
    assert png == grid_png(images.clone())
    grid = Image.open(io.BytesIO(png))
    assert grid.size == (3 * 8 + 2 * GAP, 2 * 8 + GAP)
    step = 8 + GAP
    shown = [grid.getpixel((4 + column * step, 4 + row * step)) for row in range(2) for column in range(3)]
    assert shown == [(v, v, v) for v in (0, 40, 80, 120, 160, 255)]


def test_files(tmp_path: Path):
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    write_grid(images, tmp_path / "new" / "grid.png")
    assert (tmp_path / "new" / "grid.png").read_bytes() == grid_png(images)
    with Image.open(io.BytesIO(picture_png(images[1]))) as single:
        assert single.getpixel((3, 5)) == tuple(images[1, :, 5, 3].tolist())
    with pytest.raises(ConfigError, match="choose another --out"):
        write_grid(images, tmp_path / "new" / "grid.png" / "grid.png")


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_shows_its_frames_in_a_loop(suffix: str, tmp_path: Path):
    greys = [torch.full((4, 3, 8, 8), value, dtype=torch.uint8) for value in (0, 100, 200)]
    path = tmp_path / f"walk{suffix}"
    assert write_animation(iter(greys), path, 80) == 3
    with Image.open(path) as shown:
        assert (shown.n_frames, shown.info["loop"], shown.size) == (3, 0, (18, 18))
        for number, grey in enumerate((0, 100, 200)):
            shown.seek(number)
            pixel = shown.convert("RGB").getpixel((3, 3))
            assert all(abs(value - grey) <= 2 for value in pixel)
