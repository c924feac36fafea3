"""Which outer optimizer a run's settings ask for."""

from __future__ import annotations

from p2pgan.averaging.outer import Movement, Outer
from p2pgan.peer.config import RunConfig


def outer_of(config: RunConfig) -> Outer:
    """The outer optimizer of the run with that configuration."""
    return Movement(config.sync.alpha, config.sync.momentum)
