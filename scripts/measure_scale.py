"""Measures by simulation how a swarm's costs grow with its size, as a table and a plot.

Example: python scripts/measure_scale.py --rounds 100 --plot docs/pictures/scale.png
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.simulation.run import Outcome, simulate
from p2pgan.simulation.scenario import PeerSetup, Scenario

CONFIG = ProtocolConfig(
    images=200_000,
    unit_images=512,
    microbatch=8,
    vector_size=10_000,
    schema_hash="simulated",
    round_s=1.5,
    rotate_every=20,
)
"""A vector of ten shards: the more shards, the more messages, and the less each peer has to send."""
JOIN_WITHIN_S = 5.0
LATE_S = 25.0
"""When one more peer joins a swarm that is at work."""


@dataclass(frozen=True)
class Row:
    """What one size costs."""

    peers: int
    outcome: Outcome
    processor_s: float
    wait_s: float | None
    """From the start of the late peer until it has the weights."""

    @property
    def cells(self) -> list[str]:
        outcome = self.outcome
        rounds = max(1, outcome.versions)
        leader = max(outcome.handled.values()) / outcome.seconds
        typical = sorted(outcome.handled.values())[len(outcome.handled) // 2] / outcome.seconds
        return [
            str(self.peers),
            str(outcome.versions),
            f"{outcome.messages / rounds / self.peers:.0f}",
            f"{leader:.0f}",
            f"{typical:.0f}",
            f"{outcome.statements / outcome.seconds * 60:.0f}",
            "-" if self.wait_s is None else f"{self.wait_s:.1f}",
            f"{self.processor_s:.0f}",
        ]


HEAD = [
    "peers",
    "rounds",
    "messages per peer and round",
    "events/s of the busiest peer",
    "events/s of a typical peer",
    "database calls per minute",
    "a joiner waits (s)",
    "processor time (s)",
]


def measure(peers: int, rounds: int) -> Row:
    """Simulates a swarm without faults, which one more peer joins."""
    setups = [
        PeerSetup(name=f"p{index:04d}", joins_at=index * JOIN_WITHIN_S / peers) for index in range(peers - 1)
    ]
    late = PeerSetup(name="late", joins_at=LATE_S)
    scenario = Scenario(seed=1, peers=(*setups, late), rounds=rounds, faults_until=LATE_S)
    began = time.process_time()
    outcome = simulate(scenario, CONFIG, quiet_s=5.0)
    return Row(peers, outcome, time.process_time() - began, _wait(outcome))


def _wait(outcome: Outcome) -> float | None:
    for line in outcome.trace:
        at, who, text = line.split(maxsplit=2)
        if who == "late" and text.endswith("loaded"):
            return float(at) - LATE_S
    return None


def _plot(rows: list[Row], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    shown = [2, 3, 5, 6]
    for axis, column in zip(figure.subplots(2, 2).flat, shown, strict=True):
        points = [(row.peers, row.cells[column]) for row in rows if row.cells[column] != "-"]
        axis.plot([x for x, _ in points], [float(y) for _, y in points], "o-")
        axis.set(title=HEAD[column], xscale="log", xlabel="peers", ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> int:
    """Exit code 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 100, 300, 1000])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    rows = []
    print("| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|", sep="\n", flush=True)
    for peers in arguments.sizes:
        rows.append(measure(peers, arguments.rounds))
        print("| " + " | ".join(rows[-1].cells) + " |", flush=True)
        for violation in rows[-1].outcome.violations:
            print(violation)
        if arguments.plot is not None:
            _plot(rows, arguments.plot)
    return int(any(row.outcome.violations for row in rows))


if __name__ == "__main__":
    sys.exit(main())
