"""Extractors that do not come with p2pgan: a TorchScript file, and Inception by torch-fidelity.

A TorchScript file is a program. It is read because a person names it on the command line of this
machine, and for no other reason: never because of what a run, a peer or a weights file says.
"""

from __future__ import annotations

import http.client
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import ConfigError
from p2pgan.gan.scores.features import Extractor
from p2pgan.protocol.texts import printable, shortened

ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""With it in the environment, torch reads tensors and refuses whatever else a pickle may hold."""


INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
"""As torch-fidelity has it. At the end of the name, as torch's hub does it, the file's SHA-256 begins."""


def torchscript_extractor(path: Path, resolution: int | None = None) -> Extractor:
    """A TorchScript module that maps uint8 ``(n, 3, R, R)`` to features ``(n, d)``, on the CPU.

    It gets images of ``resolution`` pixels a side, or as they are. Raises ConfigError if the file
    cannot be read, or is no TorchScript.
    """
    content = _read(path, "--extractor")
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch prefers another format
            module = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]  # torch's
    except Exception as error:  # whatever a foreign file leads torch to
        raise ConfigError(
            f"{path} is no TorchScript file; save the extractor with torch.jit.script(module).save(FILE)"
        ) from error
    module.eval()
    return Extractor(printable(path.name), blob_digest(content), module, resolution)


def inception_weights(download: bool) -> Path:
    """Where torch's hub keeps Inception's weights, 95 MB; with ``download`` they are fetched if missing.

    Raises ConfigError if they are missing, cannot be fetched, or what came is not what the name says.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_URL.rpartition("/")[2]
    if path.exists():
        return path
    if not download:
        raise ConfigError(
            "--extractor inception needs its weights: add --download, or --inception-weights FILE "
            f"with {path.name} of torch-fidelity's releases"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(INCEPTION_URL, str(path), path.stem.rpartition("-")[2])
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        why = shortened(str(error).partition("\n")[0])
        raise ConfigError(
            f"Inception's weights could not be downloaded ({why}); fetch {INCEPTION_URL} some other way and "
            "name the file: --inception-weights FILE"
        ) from error
    return path


def inception_extractor(path: Path) -> Extractor:
    """Inception v3 as FID was defined on (2,048 features), by torch-fidelity, on the CPU.

    Raises ConfigError if the package or the file is missing, or the file holds other weights.
    """
    content = _read(path, "--inception-weights")
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise ConfigError(
            f"--extractor inception needs torch-fidelity ({error}): pip install 'p2pgan[fid]'"
        ) from error
    try:
        with _tensors_only(), torch.random.fork_rng(devices=[]):
            network = FeatureExtractorInceptionV3("inception", ["2048"], str(path))
    except Exception as error:  # whatever a foreign file leads torch to
        raise ConfigError(
            f"{path} does not hold torch-fidelity's Inception weights; "
            "take weights-inception-2015-12-05-6726825d.pth of its releases"
        ) from error

    def extract(images: Tensor) -> Tensor:
        features: Tensor = network(images)[0]
        return features

    return Extractor("inception", blob_digest(content), extract, None, "299 px, bilinear as in TensorFlow 1")


def _read(path: Path, flag: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{shortened(str(path))} is no file; check {flag}")
        return path.read_bytes()
    except OSError as error:
        name = shortened(str(path))
        raise ConfigError(f"{name} cannot be read ({error.strerror}); check {flag}") from error


@contextmanager
def _tensors_only() -> Iterator[None]:
    """While it lasts, no pickle is obeyed, although torch-fidelity asks torch to."""
    before = os.environ.get(ONLY_WEIGHTS)
    os.environ[ONLY_WEIGHTS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ONLY_WEIGHTS]
        else:
            os.environ[ONLY_WEIGHTS] = before
