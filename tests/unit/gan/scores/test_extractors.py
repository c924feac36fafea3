from __future__ import annotations

import hashlib
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import ConfigError
from p2pgan.gan.data import ImageSet, open_images
from p2pgan.gan.scores import foreign
from p2pgan.gan.scores.builtin import FEATURES, WEIGHTS, builtin_extractor
from p2pgan.gan.scores.features import Extractor, features_of, real_batches
from p2pgan.gan.scores.foreign import inception_extractor, inception_weights, torchscript_extractor

DIGEST = "677fbad777a86c4361fa57d55432f98cf607718326030d0691c09a20665aedb1"
"""Of the weights that come with p2pgan: scores on others do not compare with scores on these."""


def _images(count: int, resolution: int = 32) -> Tensor:
    pixels = np.random.default_rng(1).integers(0, 256, (count, 3, resolution, resolution), dtype=np.uint8)
    return torch.from_numpy(pixels)


class Means(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


def _saved(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        torch.jit.script(module).save(str(path))  # type: ignore[no-untyped-call]  # torch's
    return path


def test_the_builtin_extractor_is_the_file_that_comes_with_it() -> None:
    extractor = builtin_extractor()
    assert extractor.digest == blob_digest(WEIGHTS.read_bytes()) == DIGEST
    assert len(WEIGHTS.read_bytes()) < 300_000


def test_features_are_the_same_each_time_and_the_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    batches = _images(70).split(32)
    features = features_of(builtin_extractor(), batches)
    assert (features.shape, features.dtype) == ((70, FEATURES), torch.float32)
    assert torch.equal(features_of(builtin_extractor(), batches), features)
    assert torch.equal(torch.get_rng_state(), before)


def test_its_features_tell_digits_apart() -> None:
    """Most digits lie nearer to the mean of their own class than to that of any other."""
    images = open_images("digits", 32)
    chosen = torch.arange(600)
    features, labels = (
        features_of(builtin_extractor(), real_batches(images, chosen)),
        images.labels_of(chosen),
    )
    means = torch.stack([features[:300][labels[:300] == label].mean(0) for label in range(10)])
    told = torch.cdist(features[300:], means).argmin(1)
    assert float((told == labels[300:]).float().mean()) > 0.8


def test_images_of_another_size_are_brought_to_that_of_the_extractor() -> None:
    extractor = builtin_extractor()
    assert features_of(extractor, [_images(3, 64)]).shape == (3, FEATURES)
    assert extractor.resize(64) == "64 px to 32 px, antialiased bicubic"
    assert extractor.resize(32) == "none, 32 px"
    flat = torch.full((2, 3, 64, 64), 77, dtype=torch.uint8)
    seen = features_of(Extractor("means", "", Means(), 32), [flat])
    assert torch.equal(seen, torch.full((2, 3), 77.0))


def test_real_images_come_in_the_order_asked_for() -> None:
    images = ImageSet(_images(100).numpy())
    chosen = torch.arange(99, -1, -1)
    assert torch.equal(torch.cat(list(real_batches(images, chosen))), _images(100).flip(0))


def test_a_torchscript_file(tmp_path: Path) -> None:
    path = _saved(Means(), tmp_path / "means.pt")
    extractor = torchscript_extractor(path)
    assert (extractor.name, extractor.digest) == ("means.pt", blob_digest(path.read_bytes()))
    images = _images(5, 48)
    assert torch.equal(features_of(extractor, [images[:3], images[3:]]), Means()(images))
    assert extractor.resize(48) == "none, 48 px"
    assert torchscript_extractor(path, 24).resize(48) == "48 px to 24 px, antialiased bicubic"


class Nothing(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3)) * float("nan")


class Maps(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float()


class Rows(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros(7, 3)


class Numbers(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.sum(dim=(2, 3))


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class Grey(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().view(-1, 1024)[:, :5].reshape(5, -1) @ torch.zeros(1, 1)


class Scalar(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (Nothing(), "gives features that are not finite"),
        (Maps(), r"gives torch.float32 \(4, 3, 32, 32\) for 4 images, not floats of shape \(n, d\)"),
        (Rows(), r"gives torch.float32 \(7, 3\) for 4 images"),
        (Numbers(), r"gives torch.int64 \(4, 3\) for 4 images"),
        (Pair(), "gives tuple, not a tensor"),
        (Grey(), r"fails on images \(4, 3, 32, 32\): RuntimeError: "),
        (Scalar(), r"gives torch.float32 \(\) for 4 images"),
    ],
)
def test_a_module_that_is_no_extractor_is_told(module: nn.Module, line: str, tmp_path: Path) -> None:
    extractor = torchscript_extractor(_saved(module, tmp_path / "wrong.pt"))
    with pytest.raises(ConfigError, match=f"the extractor wrong.pt {line}") as caught:
        features_of(extractor, [_images(4)])
    assert "\n" not in str(caught.value)


def test_files_that_are_no_torchscript(tmp_path: Path) -> None:
    pickled = tmp_path / "state.pt"
    torch.save({"weight": torch.zeros(3)}, pickled)
    noise = tmp_path / "noise.pt"
    noise.write_bytes(b"noise")
    for path in (pickled, noise):
        with pytest.raises(ConfigError, match="is no TorchScript file"):
            torchscript_extractor(path)
    with pytest.raises(ConfigError, match=r"missing.pt cannot be read .* check --extractor"):
        torchscript_extractor(tmp_path / "missing.pt")
    with pytest.raises(ConfigError, match="is no file; check --extractor"):
        torchscript_extractor(tmp_path)


def test_inception_without_its_weights(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing.pth cannot be read .* check --inception-weights"):
        inception_extractor(tmp_path / "missing.pth")


def test_inception_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(ConfigError, match=re.escape("pip install 'p2pgan[fid]'")):
        inception_extractor(tmp_path / "weights.pth")


class Trap:
    """What a pickle of it does when it is obeyed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


def test_a_pickle_in_place_of_inceptions_weights_is_not_obeyed(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is an extra: pip install 'p2pgan[fid]'")
    path, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    torch.save(Trap(sprung), path)
    with pytest.raises(ConfigError, match="does not hold torch-fidelity's Inception weights"):
        inception_extractor(path)
    assert not sprung.exists()


def test_inceptions_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity is an extra"
    )
    path = tmp_path / "weights.pth"
    with monkeypatch.context() as patched:  # weights of the right shapes, as they are before training
        patched.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save({}, path)
        untrained = module.FeatureExtractorInceptionV3("inception", ["2048"], str(path))
    torch.save(untrained.state_dict(), path)
    extractor = inception_extractor(path)
    assert features_of(extractor, [_images(2)]).shape == (2, 2048)
    assert extractor.resize(32) == "32 px to 299 px, bilinear as in TensorFlow 1"
    assert extractor.digest == blob_digest(path.read_bytes())


def test_inceptions_weights_are_fetched_once_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"weights"
    published = tmp_path / f"weights-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(foreign, "INCEPTION_URL", published.as_uri())
    with pytest.raises(ConfigError, match=r"add --download, or --inception-weights FILE"):
        inception_weights(download=False)
    with pytest.raises(ConfigError, match=r"could not be downloaded .*No such file"):
        inception_weights(download=True)
    published.write_bytes(content + b"!")
    with pytest.raises(ConfigError, match=r"could not be downloaded \(invalid hash value"):
        inception_weights(download=True)
    published.write_bytes(content)
    kept = inception_weights(download=True)
    assert kept.read_bytes() == content
    published.unlink()
    assert inception_weights(download=False) == kept
    assert list(kept.parent.iterdir()) == [kept], "what broke off is gone"
