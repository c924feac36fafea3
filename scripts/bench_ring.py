"""How many modes of a ring of Gaussians are found by one peer, by four that average, and by a control.

``python -m scripts.bench_ring --seeds 1 2 3`` prints a table in Markdown; ``scripts/quality/ring.py`` has the
arms. One seed takes about half a minute of one core. CI runs it as a test.
"""

from __future__ import annotations

import argparse
import time

import torch

from scripts.quality.ring import MODES, RING_ARMS, STEPS, ring, train


def main() -> None:
    """Trains every arm with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=STEPS, help="of each peer")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    images = ring()
    print(f"| arm | seed | modes of {MODES} | points near one | processor seconds |\n|---|---|---|---|---|")
    for seed in chosen.seeds:
        for arm in RING_ARMS:
            began = time.process_time()
            found = train(arm, images, seed, chosen.steps)
            seconds = time.process_time() - began
            print(f"| {arm.name} | {seed} | {found.modes} | {found.near:.0%} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
