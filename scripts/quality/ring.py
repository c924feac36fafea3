"""A ring of eight Gaussians: how many of them a small GAN finds, by each way to average.

What is drawn are points of the plane, carried as images of one colour: red is x, green is y. So trainer,
wire, rule and outer step are those of any run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.own import use_own_net
from p2pgan.gan.sampling import Generator
from scripts.quality.swarm import AT_THE_END, CLEAN, GRADIENTS, ONE, Arm, Swarm

MODES = 8
RADIUS, DEVIATION = 0.7, 0.05
OF_EACH = 250
DRAWN = 1000
NEAR = 3.0
"""Deviations from a mode's middle within which a point is of it. The modes are ten apart."""
LEAST_SHARE = 1 / 8
"""A mode is found if it has so much of the points that would be its own if all had as many."""
STEPS = 400
BATCH = 32

RING_ARMS = (ONE, GRADIENTS, CLEAN, AT_THE_END)


@dataclass(frozen=True)
class Found:
    """What drawn points show."""

    modes: int
    """That have points enough."""
    near: float
    """The share of all points that is near a mode."""

    @property
    def is_ring(self) -> bool:
        """At most one mode is lacking, and the points are not just everywhere: then an eighth is near."""
        return self.modes >= MODES - 1 and self.near >= 0.4


def ring() -> ImageSet:
    """As many points of each mode."""
    noise = np.random.default_rng(1).normal(0.0, DEVIATION, (MODES, OF_EACH, 2))
    points = (_middles()[:, None] + noise).reshape(-1, 2)
    colours = np.full((len(points), 3), 128, dtype=np.uint8)
    colours[:, :2] = np.clip(np.round((points + 1) * 127.5), 0, 255)
    return ImageSet(
        np.ascontiguousarray(np.broadcast_to(colours[:, :, None, None], (*colours.shape, 32, 32)))
    )


def train(arm: Arm, images: ImageSet, seed: int, steps: int = STEPS) -> Found:
    """What an arm's averaged generator draws after so many steps of each peer."""
    nets = use_own_net(f"{Path(__file__).with_name('ring_nets.py')}:Ring")
    penalties = {"name": "rp", "r1_gamma": 0.002, "r2_gamma": 0.002, "r1_every": 4}
    config = GanConfig.model_validate(
        {
            "model": {"name": nets, "latent_dim": 2},
            "loss": penalties,
            "optimizer": {"lr_g": 1e-3, "lr_d": 5e-3},
            "microbatch": BATCH,
            "seed": seed,
        }
    )
    swarm = Swarm(arm, config, images, steps)
    for _ in swarm.rounds():
        pass
    return found(Generator(swarm.config, swarm.ema).sample(DRAWN).numpy())


def found(drawn: npt.NDArray[np.uint8]) -> Found:
    """Of images of one colour, shape ``(n, 3, R, R)``."""
    points = drawn[:, :2, 0, 0] / 127.5 - 1
    apart = np.linalg.norm(points[:, None] - _middles(), axis=2)
    near = apart.min(axis=1) <= NEAR * DEVIATION
    counts = np.bincount(apart.argmin(axis=1)[near], minlength=MODES)
    return Found(int((counts >= LEAST_SHARE * len(drawn) / MODES).sum()), float(near.mean()))


def _middles() -> npt.NDArray[np.float64]:
    angles = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
