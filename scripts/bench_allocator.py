"""What keeping freed memory (p2pgan/allocator.py) does for the speed of training, and what it costs.

Run: python scripts/bench_allocator.py --repeats 3
Both settings in turn, each in a process of its own, with the trainer in a thread of its own as a peer
has it (or, with --main, in the main thread as ``p2pgan train`` has it).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
from statistics import median

NETS = {"mlp": 32, "dcgan": 64}
"""Pixels of each."""
BATCH = 64
WARM_UP = 3


def main() -> None:
    """Measure in children and print a table, or be such a child."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--main", action="store_true", help="train in the main thread")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        print(json.dumps(measured(**json.loads(arguments.child))))
        return
    print("| net | setting | images/s, median (min-max) | per processor second | ratio | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    for net in arguments.nets:
        compare(net, arguments.repeats, arguments.seconds, arguments.main)


def compare(net: str, repeats: int, seconds: float, in_main: bool) -> None:
    """Both settings in turn; two rows of the table."""
    results: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(repeats):
        for kept in results:
            job = json.dumps({"net": net, "kept": kept, "seconds": seconds, "in_main": in_main})
            child = [sys.executable, __file__, "--child", job]
            results[kept].append(json.loads(subprocess.run(child, capture_output=True, check=True).stdout))
    plain = median(r["images_per_processor_s"] for r in results[False])
    for kept, found in results.items():
        speeds = [r["images_per_s"] for r in found]
        peak = median(r["peak_mb"] for r in found)
        spread = f"{median(speeds):.0f} ({min(speeds):.0f}-{max(speeds):.0f})"
        work = median(r["images_per_processor_s"] for r in found)
        name = "kept" if kept else "glibc's own"
        print(f"| {net} | {name} | {spread} | {work:.0f} | {work / plain:.2f} | {peak:.0f} |", flush=True)


def measured(net: str, kept: bool, seconds: float, in_main: bool) -> dict[str, float]:
    """Images per second and peak memory of this process."""
    from p2pgan.allocator import keep_freed_memory

    if kept and keep_freed_memory() is None:
        raise SystemExit("nothing to measure: the C library is not glibc, or its variables are set")
    found: list[dict[str, float]] = []
    if in_main:
        found.append(speed(net, seconds))
    else:
        thread = threading.Thread(target=lambda: found.append(speed(net, seconds)))
        thread.start()
        thread.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**found[0], "peak_mb": peak}


def speed(net: str, seconds: float) -> dict[str, float]:
    """Images per second, and per second of processor time, of a trainer on one processor thread."""
    import torch

    from p2pgan.gan.config import GanConfig
    from p2pgan.gan.data import open_images
    from p2pgan.gan.trainer import Trainer

    torch.set_num_threads(1)
    pixels = NETS[net]
    config = GanConfig.model_validate({"microbatch": BATCH, "model": {"name": net, "resolution": pixels}})
    trainer = Trainer(config, open_images("digits", pixels, None, False), "cpu")

    def train(first: int) -> None:
        start = first * BATCH % 1024
        trainer.train_microbatch(0, start, start + BATCH)

    for step in range(WARM_UP):
        train(step)
    step, began, cpu = WARM_UP, time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        train(step)
        step += 1
    images = (step - WARM_UP) * BATCH
    return {
        "images_per_s": images / (time.perf_counter() - began),
        "images_per_processor_s": images / (time.process_time() - cpu),
    }


if __name__ == "__main__":
    main()
