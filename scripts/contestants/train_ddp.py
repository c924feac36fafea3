"""One of several processes under torch's DistributedDataParallel over gloo: the same nets, loss and Adam.

Arguments: the settings of ``gan`` as JSON, the images as ``--dataset`` has them, the seconds to measure, how
many processes, which one this is, and a folder they share. It says ``ready``, waits for a line, and
prints images and seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import Tensor, nn
from torch.distributed import all_reduce, destroy_process_group, init_process_group
from torch.nn.functional import softplus
from torch.nn.parallel import DistributedDataParallel

from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.data import open_images
from p2pgan.gan.models import build
from p2pgan.gan.randomness import epoch_permutation, microbatch_latents

WARM_UP = 3


class Pair:
    """G and D, their gradients averaged bucket by bucket while the backward pass goes on."""

    def __init__(self, config: GanConfig) -> None:
        self._config, settings = config, config.optimizer
        generator, self._raw_d = build(config.model, config.seed)
        self._g = DistributedDataParallel(generator, gradient_as_bucket_view=True)
        self._d = DistributedDataParallel(self._raw_d, gradient_as_bucket_view=True)
        betas = settings.beta1, settings.beta2
        self._adam_g = torch.optim.Adam(self._g.parameters(), settings.lr_g, betas, fused=True)
        self._adam_d = torch.optim.Adam(self._d.parameters(), settings.lr_d, betas, fused=True)

    def step(self, real: Tensor, latents: Tensor) -> None:
        """G runs forward once, as in p2pgan's trainer."""
        fake = self._g(latents)
        self._adam_d.zero_grad()
        logits = self._d(torch.cat([real, fake.detach()]))
        (softplus(-logits[: len(real)]).mean() + softplus(logits[len(real) :]).mean()).backward()  # type: ignore[no-untyped-call]
        self._adam_d.step()
        self._adam_g.zero_grad()
        self._raw_d.requires_grad_(False)
        softplus(-self._judge(fake)).mean().backward()  # type: ignore[no-untyped-call]
        self._raw_d.requires_grad_(True)
        self._adam_g.step()

    def _judge(self, fake: Tensor) -> Tensor:
        module: nn.Module = self._raw_d
        logits: Tensor = module(fake)
        return logits


def main() -> None:
    """Train, measure, tell."""
    torch.set_num_threads(1)
    config, seconds = parse_config(json.loads(sys.argv[1])), float(sys.argv[3])
    count, place, folder = int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
    init_process_group("gloo", init_method=f"file://{folder}/meet", world_size=count, rank=place)
    images, pair, size = open_images(sys.argv[2], config.model.resolution), Pair(config), config.step_images
    order = epoch_permutation(config.seed, 0, images.count)

    def step(number: int) -> None:
        start = (number * count + place) * size % (images.count - size)
        real = images.batch(order[start : start + size]).float().div_(127.5).sub_(1.0)
        pair.step(real, microbatch_latents(config.seed, 0, start, size, config.model.latent_dim))

    for number in range(WARM_UP):
        step(number)
    print("ready", flush=True)
    sys.stdin.readline()
    steps, began, over = 0, time.perf_counter(), torch.zeros(1)
    while not over.item():
        step(steps)
        steps += 1
        if steps % 4 == 0:
            # All must stop after the same step, or one waits for ever.
            over[0] = float(time.perf_counter() - began >= seconds)
            all_reduce(over)
    print(json.dumps({"images": steps * size, "seconds": time.perf_counter() - began}), flush=True)
    destroy_process_group()


main()
