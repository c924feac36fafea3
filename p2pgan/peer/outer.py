"""Which outer optimizer a run's settings ask for."""

from __future__ import annotations

from functools import partial

from p2pgan.averaging.adam import Adam, Rate
from p2pgan.averaging.flatten import Layout
from p2pgan.averaging.outer import Movement, Outer
from p2pgan.gan.schedule import schedule_factor
from p2pgan.peer.config import RunConfig


def outer_of(config: RunConfig, layout: Layout) -> Outer:
    """The outer optimizer of a run with that configuration and vectors of that layout."""
    if config.sync.mode != "gradients":
        return Movement(config.sync.alpha, config.sync.momentum)
    settings = config.gan.optimizer
    g, d = layout.slice_of("G"), layout.slice_of("D")
    rates = (Rate(g.start, g.stop, settings.lr_g), Rate(d.start, d.stop, settings.lr_d))
    return Adam(rates, settings.beta1, settings.beta2, partial(schedule_factor, config.gan.schedule))
