from collections.abc import Iterator

import numpy as np
import pytest
import torch

from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.data import ImageSet


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config() -> GanConfig:
    """The smallest network, with R1 on every second microbatch."""
    return parse_config(
        {"model": {"width": 8, "latent_dim": 8}, "loss": {"r1_gamma": 1.0, "r1_every": 2}, "microbatch": 8}
    )


@pytest.fixture
def images() -> ImageSet:
    """Forty images of noise."""
    return ImageSet(np.random.default_rng(1).integers(0, 256, (40, 3, 32, 32), dtype=np.uint8))
