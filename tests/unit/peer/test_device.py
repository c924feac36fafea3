"""What comes with the choice of a device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from p2pgan.errors import ConfigError
from p2pgan.peer.device import pick_device


@pytest.fixture
def fewer_bits() -> Iterator[None]:
    """As torch has it, and as somebody may have asked of it."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.usefixtures("fewer_bits")
@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_float32_is_computed_in_full(name: str) -> None:
    pick_device(name)

    assert torch.backends.cudnn.allow_tf32 is False
    assert torch.backends.cuda.matmul.allow_tf32 is False


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(ConfigError, match="the device abacus cannot be used here"):
        pick_device("abacus")
