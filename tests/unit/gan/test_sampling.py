import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.sampling import GAP, Generator, grid_png, write_grid, write_images
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


def test_single_images_are_written_as_they_are_drawn(config: GanConfig, vector: torch.Tensor, tmp_path: Path):
    """More than fit into memory: nothing is drawn before the last batch is written."""
    paths = write_images(Generator(config, vector).batches(5_000_000), tmp_path, 5_000_000)
    assert [next(paths).name for _ in range(3)] == ["0000000.png", "0000001.png", "0000002.png"]
    assert len(list(tmp_path.iterdir())) == 3


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
    paths = list(write_images([images[:2], images[2:]], tmp_path / "singles", 3))
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    with Image.open(paths[1]) as single:
        assert single.getpixel((3, 5)) == tuple(images[1, :, 5, 3].tolist())
    with pytest.raises(ConfigError, match="choose another --out"):
        write_grid(images, paths[0] / "grid.png")


def test_a_way_leads_from_one_image_to_another(config: GanConfig, vector: torch.Tensor):
    generator = Generator(config, vector)
    ends = generator.sample(4, seed=5).float()
    way = generator.interpolate(1, 3, steps=5, seed=5).float()
    assert way.shape == (5, 3, 32, 32)
    assert (way[0] - ends[1]).abs().max() <= 1 and (way[-1] - ends[3]).abs().max() <= 1
    assert len({image.numpy().tobytes() for image in way}) == 5
    for wrong in ({"steps": 1}, {"start": -1}):
        with pytest.raises(ConfigError, match="give at least 2"):
            generator.interpolate(**{"start": 0, "end": 1, **wrong})
