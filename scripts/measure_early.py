"""What it brings in ``gradients`` that D's part is exchanged while G's is computed, in virtual time.

``python scripts/measure_early.py`` prints a table in Markdown; docs/performance.md has it. The peers are the
simulator's: as fast as one core with the MLP, on lines of a given bandwidth, and with nothing else to do.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from p2pgan.simulation.run import GRADIENTS, simulate
from p2pgan.simulation.scenario import PeerSetup, Scenario

MLP = replace(
    GRADIENTS,
    microbatch=64,
    unit_images=512,
    local_steps=1,
    images=1_000_000,
    vector_size=7_600_000,
    rotate_every=0,
)
"""Without changes of leader, whose pauses are of any length."""
BORDER = 3_600_000
"""Where G ends."""
IMAGES_PER_S = 700.0
FROM_S, TO_S = 15.0, 45.0
SEEDS = range(3)


def rounds_per_s(seed: int, peers: int, mbit: float, border: int) -> float:
    """Versions in a second, once all are there: what a simulation has more than a shorter one of its seed."""
    setups = tuple(
        PeerSetup(name=f"p{place}", images_per_s=IMAGES_PER_S, bytes_per_s=mbit * 1e6 / 8)
        for place in range(peers)
    )
    config = replace(MLP, vector_border=border)
    first, last = (
        simulate(Scenario(seed=seed, peers=setups, faults_until=until, sync="gradients"), config, quiet_s=1.0)
        for until in (FROM_S, TO_S)
    )
    return (last.versions - first.versions) / (TO_S - FROM_S)


def main() -> None:
    """Print the table."""
    print("| Mbit/s | peers | all at the end | D's part early | ratio |\n|---|---|---|---|---|")
    for mbit in (10_000.0, 1000.0, 400.0):
        for peers in (2, 4):
            late, early = (
                mean(rounds_per_s(s, peers, mbit, border) for s in SEEDS) for border in (0, BORDER)
            )
            print(f"| {mbit:,.0f} | {peers} | {late:.2f} | {early:.2f} | {early / late:.2f} |", flush=True)


if __name__ == "__main__":
    main()
