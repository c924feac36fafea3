"""Settings that belong together, by name, with the values they were published with.

What a preset leaves out (resolution, width, seed) is a matter of the images and the machine. Whatever
is said beside a preset overrides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from p2pgan.errors import ConfigError

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # DCGAN (Radford et al., 2016): batch normalisation in both nets, no penalty.
    "classic": {
        "model": {"name": "dcgan", "norm": "batch", "latent_dim": 100},
        "loss": {"name": "bce", "r1_gamma": 0.0},
        "optimizer": {"lr_g": 2e-4, "lr_d": 2e-4, "beta1": 0.5, "beta2": 0.999},
        "microbatch": 128,
    },
    # The defaults. Nets without batch statistics can be averaged; R1 every 16 steps and Adam's betas are
    # those of StyleGAN2 (Karras et al., 2020).
    "p2p": {
        "model": {"name": "dcgan", "norm": "group", "latent_dim": 100},
        "loss": {"name": "bce", "r1_gamma": 0.1, "r1_every": 16},
        "optimizer": {"lr_g": 1e-3, "lr_d": 1e-3, "beta1": 0.0, "beta2": 0.99},
        "microbatch": 32,
    },
    # R3GAN (Huang et al., 2024), as for CIFAR-10, at the start of its schedules of gamma and beyond the
    # end of that of beta2, which are not followed; steps of 256 images, as for faces.
    "modern": {
        "model": {"name": "r3", "latent_dim": 64},
        "loss": {"name": "rp", "r1_gamma": 0.05, "r2_gamma": 0.05, "r1_every": 1},
        "optimizer": {"lr_g": 2e-4, "lr_d": 2e-4, "beta1": 0.0, "beta2": 0.99},
        "schedule": {"name": "cosine", "images": 20_000_000, "floor": 0.25},
        "microbatch": 64,
        "accumulate": 4,
        "precision": "auto",
        "ema_half_life_images": 500_000.0,
    },
}


def preset_values(name: str) -> dict[str, Any]:
    """A preset's settings, as nested keys of GanConfig. Raises ConfigError: there is no such preset."""
    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(PRESETS)}"
        raise ConfigError(f"there is no preset {name!r}; {hint}")
    return deepcopy(dict(PRESETS[name]))
