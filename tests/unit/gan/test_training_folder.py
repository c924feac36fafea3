import errno
from pathlib import Path

import pytest
import torch

import p2pgan
from p2pgan.errors import ConfigError, P2pganError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.folder import TrainingFolder
from p2pgan.gan.models import layout_for
from p2pgan.gan.units import UnitStats
from p2pgan.gan.weights import load_generator

STATS = UnitStats(1, 0, 16, 0.5, 1.0, 0.5, 0.6, 0.4, 0)
EARLIER = ("generator.safetensors", "samples-000000016.png", "losses.csv", "losses.csv.1f.unfinished")


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A folder with an earlier training, and something else."""
    for name in (*EARLIER, "notes.txt"):
        (tmp_path / name).write_text("earlier")
    return tmp_path


def test_a_folder_is_made_with_the_first_line_and_not_before(tmp_path: Path):
    folder = TrainingFolder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    folder.record(STATS, 16)
    folder.record(STATS, 32)
    assert folder.losses.read_text().splitlines() == [
        "images_seen,unit,epoch,images,seconds,loss_g,loss_d,d_real,d_fake,skipped,"
        "sign_real,sign_held_out,r1,grad_g,grad_d,diversity",
        "16,1,0,16,0.5,1.0,0.5,0.6,0.4,0,0.0,,,0.0,0.0,",
        "32,1,0,16,0.5,1.0,0.5,0.6,0.4,0,0.0,,,0.0,0.0,",
    ]


@pytest.mark.parametrize("name", EARLIER)
def test_an_earlier_training_is_not_mixed_with_another(used: Path, name: str):
    for other in set(EARLIER) - {name}:
        (used / other).unlink()
    with pytest.raises(ConfigError, match="holds an earlier training; .* --overwrite"):
        TrainingFolder(used)


def test_other_files_are_no_earlier_training(tmp_path: Path):
    (tmp_path / "notes.txt").touch()
    TrainingFolder(tmp_path)


def test_an_earlier_training_is_replaced_when_there_is_something_to_keep(used: Path):
    folder = TrainingFolder(used, overwrite=True)
    assert all((used / name).exists() for name in EARLIER)
    folder.record(STATS, 16)
    assert {path.name for path in used.iterdir()} == {"losses.csv", "notes.txt"}


def test_weights_and_grid_are_written_whole(config: GanConfig, tmp_path: Path):
    vector = torch.zeros(layout_for(config.model).entries_of("G")[-1].stop)
    folder = TrainingFolder(tmp_path)
    folder.save_weights(config, vector, 16)
    assert load_generator(folder.weights).facts == {"images": "16"}
    assert folder.save_grid(config, vector, 16).read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"generator.safetensors", "samples-000000016.png"}


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_where_the_folder_should_be_is_found_at_the_start(tmp_path: Path, below: str):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is a file, not a folder; choose another --out"):
        TrainingFolder(tmp_path / "file" / below)


def test_a_folder_that_cannot_be_written_is_found_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # rights do not bind an administrator
    with pytest.raises(ConfigError, match=r"new cannot be written \(Permission denied\)"):
        TrainingFolder(tmp_path / "new")


def test_a_folder_that_goes_away_is_one_line(tmp_path: Path):
    folder = TrainingFolder(tmp_path / "new")
    (tmp_path / "new").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        folder.record(STATS, 16)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(
    config: GanConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    def full(*_: object, **__: object) -> None:
        raise OSError(number, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(Path, "open", full)
    vector = torch.zeros(layout_for(config.model).entries_of("G")[-1].stop)
    folder = TrainingFolder(tmp_path)
    for write in (
        lambda: folder.record(STATS, 16),
        lambda: folder.save_weights(config, vector, 16),
        lambda: folder.save_grid(config, vector, 16),
    ):
        with pytest.raises(P2pganError, match="is full: free space, or choose another --out") as refused:
            write()
        assert refused.value.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_the_folder_is_looked_at_before_the_images(used: Path):
    with pytest.raises(ConfigError, match="earlier training"):
        p2pgan.train(dataset="folder:/does/not/exist", out=used, epochs=1)
