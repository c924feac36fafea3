import json
import os
import pickle
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.trainer import Trainer
from p2pgan.gan.weights import FORMAT, load_generator, save_generator


@pytest.fixture
def vector(config: GanConfig, images: ImageSet) -> torch.Tensor:
    trainer = Trainer(config, images)
    return trainer.theta()[trainer.layout.slice_of("G")]


@pytest.fixture
def sound(config: GanConfig, vector: torch.Tensor, tmp_path: Path) -> bytes:
    path = tmp_path / "sound.safetensors"
    save_generator(path, config, vector, {"version": "12"})
    return path.read_bytes()


def refused(path: Path, content: bytes, line: str) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=line) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)


def test_a_saved_file_has_the_permissions_that_the_user_gives(
    config: GanConfig, vector: torch.Tensor, tmp_path: Path
):
    before = os.umask(0o027)
    try:
        save_generator(tmp_path / "generator.safetensors", config, vector, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "generator.safetensors").stat().st_mode) == 0o640


def test_what_is_saved_comes_back(config: GanConfig, vector: torch.Tensor, tmp_path: Path):
    path = tmp_path / "new" / "generator.safetensors"
    save_generator(path, config, vector, {"run": "faces", "version": "12"})
    loaded = load_generator(path)
    assert loaded.config == config
    assert torch.equal(loaded.vector, vector)
    assert loaded.facts == {"run": "faces", "version": "12"}
    assert list(path.parent.iterdir()) == [path], "no temporary file is left"


@pytest.mark.parametrize("keep", [0, 5, 8, 100, 5000, -1])
def test_cut_short(sound: bytes, tmp_path: Path, keep: int):
    refused(tmp_path / "w.safetensors", sound[:keep], "export")


def test_longer_than_it_says(sound: bytes, tmp_path: Path):
    refused(tmp_path / "w.safetensors", sound + b"more", "corrupt")


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"state_dict": [1, 2, 3]}),
        b"PK\x03\x04" + bytes(500),
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"null" + bytes(20),
        (40_000).to_bytes(8, "little") + b"[" * 40_000,
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2 << 20).to_bytes(8, "little") + b'{"__metadata__":{"x":"' + b" " * (2 << 20) + b'"}}',
    ],
)
def test_other_formats(tmp_path: Path, content: bytes):
    refused(tmp_path / "w.safetensors", content, "is no ")


def test_a_pickle_is_never_executed(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    refused(tmp_path / "w.safetensors", pickle.dumps(Trap()), "no safetensors file")
    assert not (tmp_path / "sprung").exists()


def test_missing(tmp_path: Path):
    with pytest.raises(WeightsError, match="cannot be read"):
        load_generator(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=r" \.\.\. a+ cannot be read \(File name too long\)"):
        load_generator(tmp_path / ("a" * 5000))


def test_what_is_no_file_is_not_read(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        with pytest.raises(WeightsError, match="is no file"):
            load_generator(path)


def test_a_file_that_grows_is_not_read_to_its_end(
    sound: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "w.safetensors"
    path.write_bytes(sound)
    facts = path.stat()
    path.write_bytes(sound * 2)
    monkeypatch.setattr(Path, "stat", lambda self, **_: facts)
    with pytest.raises(WeightsError, match="grows while it is read"):
        load_generator(path)


@pytest.mark.parametrize(
    ("tensors", "line"),
    [
        ({}, "does not hold the tensors"),
        ({"foreign": torch.zeros(2)}, "does not hold the tensors"),
    ],
)
def test_foreign_tensors(tmp_path: Path, config: GanConfig, tensors: dict[str, torch.Tensor], line: str):
    metadata = {"format": FORMAT, "config": config.model_dump_json()}
    refused(tmp_path / "w.safetensors", save(tensors, metadata), line)


def test_the_tensors_of_another_width(sound: bytes, tmp_path: Path, config: GanConfig):
    wider = config.model_copy(update={"model": config.model.model_copy(update={"width": 16})})
    path = tmp_path / "w.safetensors"
    path.write_bytes(sound)
    length = int.from_bytes(sound[:8], "little")
    header = json.loads(sound[8 : 8 + length])
    header["__metadata__"]["config"] = wider.model_dump_json()
    text = json.dumps(header).encode()
    refused(path, len(text).to_bytes(8, "little") + text + sound[8 + length :], "not")


def test_an_unknown_configuration(tmp_path: Path):
    metadata = {"format": FORMAT, "config": '{"model": {"name": "vae"}}'}
    refused(tmp_path / "w.safetensors", save({}, metadata), "not understood: model.name")


@pytest.mark.parametrize("number", [b"\x00\x00\x80\x7f", b"\x00\x00\xc0\x7f"], ids=["Inf", "NaN"])
def test_numbers_that_are_not_finite(sound: bytes, number: bytes, tmp_path: Path):
    refused(tmp_path / "w.safetensors", sound[:-4] + number, "not finite")


def test_only_sound_weights_are_saved(config: GanConfig, vector: torch.Tensor, tmp_path: Path):
    broken = vector.clone()
    broken[3] = float("nan")
    for wrong in (vector[1:], broken):
        with pytest.raises(WeightsError):
            save_generator(tmp_path / "w.safetensors", config, wrong, {})
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        save_generator(tmp_path / "file" / "w.safetensors", config, vector, {})
