from __future__ import annotations

from math import inf, nan

import msgspec
import pytest

from p2pgan.protocol.metrics import MOST_LOSS, Losses, losses


def test_what_is_told_is_within_bounds() -> None:
    assert losses(1.5, -1e300, 1.2, -0.1) == Losses(1.5, -MOST_LOSS, 1.0, 0.0)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_not_told(place: int, value: float) -> None:
    values = [0.5, 0.5, 0.5, 0.5]
    values[place] = value
    assert losses(*values) is None


@pytest.mark.parametrize(
    "told", [[nan, 0, 0, 0], [0, inf, 0, 0], [0, 0, 1.5, 0], [0, 0, 0, nan], [1, 1, 1], "x"]
)
def test_what_others_tell_is_checked(told: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(told, Losses)
