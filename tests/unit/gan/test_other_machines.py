"""What another processor draws from the same noise: the same, to a grey level."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from p2pgan.gan.config import parse_config
from p2pgan.gan.models import NETS, build_generator
from p2pgan.gan.sampling import Generator
from p2pgan.protocol.ordering import MOST_DIFFERENCE

IMAGES = 64
OLD = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
"""Kernels of a processor without AVX."""


def drawn(net: str, batch_size: int = IMAGES) -> torch.Tensor:
    config = parse_config({"model": {"name": net, "width": 8, "latent_dim": 8}})
    start = parameters_to_vector(build_generator(config.model, 1).parameters()).detach()
    # Twice as large, so that pixels are not all grey.
    return Generator(config, 2 * start, "cpu", batch_size).sample(IMAGES, 3, truncation=2.0)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What a process that has to do with old kernels draws."""
    out = tmp_path_factory.mktemp("old") / "drawn.npz"
    code = (
        "import sys, numpy, torch\n"
        "from p2pgan.gan.models import NETS\n"
        "from tests.unit.gan.test_other_machines import drawn\n"
        "assert torch.backends.cpu.get_cpu_capability() == 'DEFAULT'\n"
        "numpy.savez(sys.argv[1], **{net: drawn(net).numpy() for net in NETS})\n"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, **OLD, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, str(out)], env=environment, cwd=root, check=True, timeout=250)
    with np.load(out) as images:
        return dict(images)


@pytest.mark.parametrize("net", NETS)
def test_another_processor_is_a_grey_level_away_at_most(net: str, elsewhere: dict[str, np.ndarray]) -> None:
    here = drawn(net)
    assert here.float().std() > 20
    difference = (here.short() - torch.from_numpy(elsewhere[net]).short()).abs()
    assert difference.max() <= MOST_DIFFERENCE
    assert (difference > 0).float().mean() < 1e-3


@pytest.mark.parametrize("net", NETS)
def test_the_number_of_threads_changes_nothing(net: str) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = drawn(net)
        torch.set_num_threads(3)
        assert torch.equal(drawn(net), one)
    finally:
        torch.set_num_threads(before)
