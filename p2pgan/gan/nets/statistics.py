"""Batch statistics for drawing images: computed anew from the weights, because they are never averaged."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from p2pgan.gan.config import ModelConfig
from p2pgan.gan.models import run_network
from p2pgan.gan.randomness import image_latents

BATCHES = 16
BATCH = 64
SEED = 0
"""Of the noise; always the same, so that the same weights draw the same images."""


def recompute_statistics(generator: nn.Module, config: ModelConfig) -> None:
    """Makes batch normalisation use means over ``BATCHES`` fixed batches of noise, from now on.

    Does nothing to a network without it.
    """
    norms = [layer for layer in generator.modules() if isinstance(layer, _BatchNorm)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches, not a running one
    generator.train()
    labels = torch.arange(BATCH) % config.num_classes if config.num_classes else None
    with torch.no_grad():
        for number in range(BATCHES):
            run_network(generator, image_latents(SEED, number * BATCH, BATCH, config.latent_dim), labels)
    generator.eval()
