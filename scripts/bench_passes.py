"""Processor time of the passes that a peer makes over its vectors in a round of ``gradients``.

``python -m scripts.bench_passes`` prints the table of docs/performance.md, "What a step of gradients costs",
for the net ``mlp``: one thread, the settings of the allocator that peers make, the least of many turns, so
that what else the machine does counts for little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from p2pgan.allocator import keep_freed_memory
from p2pgan.averaging.blocks import blocks
from p2pgan.averaging.codec import codec
from p2pgan.averaging.digest import vector_digest
from p2pgan.averaging.outer import Outer
from p2pgan.gan.ema import ema_update
from p2pgan.gan.models import layout_for
from p2pgan.peer.config import RunConfig, run_config
from p2pgan.peer.outer import outer_of


def settings(beta1: float) -> RunConfig:
    """A run of ``mlp`` that averages gradients."""
    return run_config(
        {
            "gan": {"model": {"name": "mlp"}, "optimizer": {"beta1": beta1}},
            "sync": {"mode": "gradients"},
        }
    )


def step(outer: Outer, theta: Tensor, state: Tensor, mean: Tensor) -> None:
    """What ``Vectors.build`` does with a mean, but for the digest."""
    made = outer.begin(theta, state, 1, 0)
    for block in blocks(len(theta)):
        made.advance(block.start, mean[block])


def passes() -> dict[str, Callable[[], object]]:
    """What is measured, by what the page calls it."""
    config = settings(0.0)
    layout = layout_for(config.gan.model)
    theta, mean, scratch = torch.randn(layout.size), torch.randn(layout.size), torch.empty(layout.size)
    found: dict[str, Callable[[], object]] = {}
    for name, beta1 in (("`beta1` 0", 0.0), ("`beta1` above 0", 0.5)):
        outer = outer_of(settings(beta1), layout)
        state = torch.rand(outer.memory * layout.size)
        found[f"Adam, {name}"] = partial(step, outer, theta, state, mean)
        found[f"digest of weights and moments, {name}"] = partial(vector_digest, theta, state)
    wire = codec("fp16")
    payload = wire.encode(mean, None)

    def decode() -> None:
        read = wire.reader(payload, layout.size, None)
        for block in blocks(layout.size):
            read(block.start, scratch[block])

    ema = theta[layout.slice_of("G")].clone()
    found["16-bit encoding of the contribution"] = partial(wire.encode, mean, None)
    found["decoding of the result"] = decode
    found["averaged generator"] = partial(ema_update, ema, theta[layout.slice_of("G")], 64, 1000.0)
    return found


def least_ms(work: Callable[[], object], turns: int) -> float:
    """Milliseconds of the processor."""
    taken = []
    for _ in range(turns):
        before = time.process_time_ns()
        work()
        taken.append(time.process_time_ns() - before)
    return min(taken) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=60)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    keep_freed_memory()
    print("| pass | ms |\n|---|---|")
    for name, work in passes().items():
        print(f"| {name} | {least_ms(work, turns):.1f} |", flush=True)


if __name__ == "__main__":
    main()
