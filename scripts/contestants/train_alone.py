"""A process that trains by itself, with the trainer that peers have.

Arguments: the settings of ``gan`` as JSON, the images as ``--dataset`` has them, and the seconds to measure.
It says ``ready``, waits for a line, and prints images and seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from p2pgan.gan.config import parse_config
from p2pgan.gan.data import open_images
from p2pgan.gan.trainer import Trainer

WARM_UP = 3


def main() -> None:
    """Train, measure, tell."""
    torch.set_num_threads(1)
    config, seconds = parse_config(json.loads(sys.argv[1])), float(sys.argv[3])
    trainer = Trainer(config, open_images(sys.argv[2], config.model.resolution))
    size = config.step_images
    for _ in range(WARM_UP):
        trainer.train_microbatch(0, 0, size)
    print("ready", flush=True)
    sys.stdin.readline()
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = steps * size % (trainer.images.count - size)
        trainer.train_microbatch(0, start, start + size)
        steps += 1
    print(json.dumps({"images": steps * size, "seconds": time.perf_counter() - began}), flush=True)


main()
