"""The small classifier that comes with p2pgan, whose hidden features serve where Inception is not at hand.

``scripts/train_extractor.py`` trains it on the greys of scikit-learn's digits and of Fashion-MNIST. It
tells such images well; of colour photographs its features say little, and distances between them are
comparable only with each other.
"""

from __future__ import annotations

from importlib.resources import files

import torch
from safetensors.torch import load
from torch import Tensor, nn

from p2pgan.averaging.digest import blob_digest
from p2pgan.gan.scores.features import Extractor

RESOLUTION = 32
FEATURES = 64
CLASSES = 20
"""Ten digits, ten kinds of clothes."""
WEIGHTS = files("p2pgan.gan.scores") / "extractor.safetensors"


class SmallClassifier(nn.Module):
    """Images uint8 ``(n, 3, 32, 32)`` to features ``(n, 64)``, and those to logits ``(n, 20)``.

    Of another ``width`` than 16 it has four times as many features.
    """

    def __init__(self, width: int = FEATURES // 4, classes: int = CLASSES) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(3, width, 1),
            *_block(width, 2 * width, 2),
            *_block(2 * width, 4 * width, 2),
            *_block(4 * width, 4 * width, 1),
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """The features: means over the places of the last layer."""
        hidden: Tensor = self.body(images.float().div(127.5).sub(1.0))
        return hidden.mean(dim=(2, 3))

    def classify(self, images: Tensor) -> Tensor:
        """Logits, for its training."""
        logits: Tensor = self.head(self(images))
        return logits


def builtin_extractor() -> Extractor:
    """The classifier with the weights that come with p2pgan, on the CPU."""
    content = WEIGHTS.read_bytes()
    with torch.random.fork_rng(devices=[]):  # making layers draws weights, which are replaced
        network = SmallClassifier()
    network.load_state_dict(load(content))
    network.requires_grad_(False).eval()
    return Extractor("builtin", blob_digest(content), network, RESOLUTION)


def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1),
        nn.GroupNorm(4, outputs),
        nn.ReLU(),
    )
