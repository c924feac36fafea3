"""Simulates many seeds on all cores and prints those that fail.

Example: python scripts/soak_simulation.py --first 0 --seeds 10000
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from p2pgan.simulation.draw import draw_scenario
from p2pgan.simulation.run import CONFIGS, Outcome, simulate
from p2pgan.simulation.scenario import Sync


def run_seed(seed: int, sync: Sync) -> tuple[Outcome, float]:
    """The outcome without its trace, which is long, and the seconds it took."""
    began = time.process_time()
    outcome = simulate(draw_scenario(seed, sync=sync))
    return Outcome(**{**vars(outcome), "trace": ()}), time.process_time() - began


def main() -> int:
    """Exit code 1 if a seed failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sync", choices=CONFIGS, default="deltas", help="what the peers average")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    failed, versions, spent, began = [], 0, 0.0, time.monotonic()
    # Spawned processes import the package anew: the same everywhere.
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for outcome, seconds in pool.map(partial(run_seed, sync=arguments.sync), seeds, chunksize=10):
            versions += outcome.committed
            spent += seconds
            if outcome.violations:
                failed.append(outcome.seed)
                replay = f"p2pgan simulate --sync {arguments.sync} --seed {outcome.seed}"
                print(f"{replay}: {'; '.join(outcome.violations)}", flush=True)
    print(
        f"{len(seeds)} seeds in {time.monotonic() - began:.0f} s ({spent:.0f} s of processor time), "
        f"{versions} versions committed, {len(failed)} seeds failed: {failed or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
