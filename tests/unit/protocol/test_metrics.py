from __future__ import annotations

from math import inf, nan

import msgspec
import pytest

from p2pgan.protocol.metrics import (
    MOST_LOSS,
    MOST_SIZE,
    Agreement,
    Losses,
    Signals,
    agreement,
    losses,
    signals,
)


def test_what_is_told_is_within_bounds() -> None:
    assert losses(1.5, -1e300, 1.2, -0.1) == Losses(1.5, -MOST_LOSS, 1.0, 0.0)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_not_told(place: int, value: float) -> None:
    values = [0.5, 0.5, 0.5, 0.5]
    values[place] = value
    assert losses(*values) is None


@pytest.mark.parametrize(
    "told",
    [
        [nan, 0, 0, 0],
        [0, inf, 0, 0],
        [0, 0, 1.5, 0],
        [0, 0, 0, nan],
        [1, 1, 1],
        "x",
        [0, 0, 0, 0, [2, 0, 0]],
        [0, 0, 0, 0, None, [0, -1]],
    ],
)
def test_what_others_tell_is_checked(told: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(told, Losses)


def test_signals_are_told_within_bounds_or_not_at_all() -> None:
    assert signals(1.5, -1.0, 1e300, None, -2.0, 0.5) == Signals(1.0, 0.0, MOST_SIZE, None, -1.0, 0.5)
    assert signals(0.5, nan, 1.0, None, None, None) is None
    assert signals(0.5, 1.0, 1.0, inf, None, None) is None
    assert agreement(1.0000001, 2.0) == Agreement(1.0, 2.0)
    assert agreement(nan, nan) is None


def test_what_an_older_peer_tells_is_understood() -> None:
    assert msgspec.convert([1, 1, 0.5, 0.5], Losses).signals is None
