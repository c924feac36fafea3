"""What each rule of aggregation makes of two hostile peers among eight: the vector, and the training.

``python scripts/bench_aggregation.py`` prints three tables in Markdown; docs/aggregation.md has them.

Eight trainers in one process train a small dcgan on digits in rounds, as peers do: each its own
images, then shards, one rule for each network within a shard, an outer step. They start from weights
that one trainer has brought to where digits can be told. The first two send something else than
what they trained. The first table compares one round's outcome with the mean of
the honest six. The second has the same for ``clip`` with a vector cut into few and many shards, since
norms are taken within each. The third runs whole trainings and draws from the averaged generator in
the end; its figure is a Frechet distance (Heusel et al., 2017) between drawn and real digits, on the
64 hidden features of a small classifier that is trained on real digits here. Only differences within
the table mean something; what two halves of the real digits have between them is its floor.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from p2pgan.averaging.outer import outer_step
from p2pgan.averaging.reduce import Rejected, aggregate
from p2pgan.averaging.rules import RULES, rule
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet, open_images
from p2pgan.gan.ema import ema_update
from p2pgan.gan.models import layout_for
from p2pgan.gan.sampling import Generator
from p2pgan.gan.trainer import Trainer
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.shards import cut_shards, equal_shares

CONFIG = GanConfig.model_validate({"model": {"width": 8, "latent_dim": 32}, "microbatch": 16})
G = layout_for(CONFIG.model).slice_of("G")
PEERS = [f"p{index}" for index in range(8)]
HOSTILE = PEERS[:2]
MICROBATCHES = 2
"""Of each peer in a round."""
HALF_LIFE = 2000.0
SAMPLES = 600
WARM_STEPS = 800
"""Microbatches of a single trainer before the swarm takes over."""
WARM_ROUNDS = 5
"""Honest rounds before the one that the first two tables look at."""
SHARDS = (1, 8, 37)
"""The last are the smallest there are, of 1,024 elements."""

Deltas = dict[PeerId, Tensor]
Attack = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""From a peer's own delta and its first one to what it sends."""

ATTACKS: dict[str, Attack] = {
    "none": lambda own, first, noise: own,
    "NaN": lambda own, first, noise: torch.full_like(own, torch.nan),
    "Inf": lambda own, first, noise: torch.full_like(own, torch.inf),
    "x 1e6": lambda own, first, noise: own * 1e6,
    "sign flip": lambda own, first, noise: -own,
    "x -10": lambda own, first, noise: own * -10,
    "stale": lambda own, first, noise: first,
    "zeros": lambda own, first, noise: torch.zeros_like(own),
    "noise": lambda own, first, noise: torch.randn(own.shape, generator=noise) * own.std() * 10,
}


class Swarm:
    """Eight trainers and the canonical weights."""

    def __init__(self, images: ImageSet, start: Tensor, seed: int) -> None:
        config = CONFIG.model_copy(update={"seed": seed})
        self.trainers = {peer: Trainer(config, images) for peer in PEERS}
        self.layout = self.trainers[PEERS[0]].layout
        self.theta = start
        self.ema = self.theta[self.layout.slice_of("G")].clone()
        self.first: Deltas = {}
        self._noise = torch.Generator().manual_seed(seed)
        self._microbatches = images.count // CONFIG.microbatch
        self._done = 0

    def train(self) -> Deltas:
        """What each peer's own microbatches of the next round do to the weights."""
        deltas = {}
        for peer, trainer in self.trainers.items():
            trainer.load(self.theta)
            for _ in range(MICROBATCHES):
                epoch, place = divmod(self._done, self._microbatches)
                start = place * CONFIG.microbatch
                trainer.train_microbatch(epoch, start, start + CONFIG.microbatch)
                self._done += 1
            deltas[peer] = trainer.theta() - self.theta
        self.first = self.first or deltas
        return deltas

    def attacked(self, deltas: Deltas, attack: str) -> Deltas:
        """The deltas as they are sent."""
        sent = {p: ATTACKS[attack](deltas[p], self.first[p], self._noise) for p in HOSTILE}
        return deltas | sent

    def combine(self, sent: Deltas, name: str, owners: Sequence[PeerId] = PEERS) -> Tensor:
        """As owners do it; who sends what is not valid is left out, as the protocol does."""
        while True:
            weights = dict.fromkeys(sent, MICROBATCHES * CONFIG.microbatch)
            try:
                return torch.cat(
                    [
                        aggregate(
                            rule(name),
                            {p: d[s.start : s.stop] for p, d in sent.items()},
                            weights,
                            self.layout.parts_of(s.start, s.stop),
                        )
                        for s in cut_shards(self.layout.size, equal_shares(owners))
                    ]
                )
            except Rejected as rejected:
                sent = {p: d for p, d in sent.items() if p != rejected.peer}

    def apply(self, combined: Tensor) -> None:
        self.theta = outer_step(self.theta, combined, 1.0)
        counted = len(PEERS) * MICROBATCHES * CONFIG.microbatch
        self.ema = ema_update(self.ema, self.theta[self.layout.slice_of("G")], counted, HALF_LIFE)


def warm_start() -> Tensor:
    """Weights that draw something like digits."""
    images = open_images("digits", 32)
    trainer = Trainer(CONFIG, images)
    each = images.count // CONFIG.microbatch
    for step in range(WARM_STEPS):
        epoch, place = divmod(step, each)
        trainer.train_microbatch(epoch, place * CONFIG.microbatch, (place + 1) * CONFIG.microbatch)
    return trainer.theta()


# -- the vector ----------------------------------------------------------------------------------


def vectors(start: Tensor) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """Relative error and cosine against the honest mean, after warm rounds: (attack, rule) -> cell,
    and of clip (attack, shards) -> cell, where without an attack all eight are honest."""
    swarm = Swarm(open_images("digits", 32), start, seed=2)
    for _ in range(WARM_ROUNDS):
        swarm.apply(swarm.combine(swarm.train(), "mean"))
    deltas = swarm.train()
    everyone = swarm.combine(deltas, "mean")
    honest = swarm.combine({p: d for p, d in deltas.items() if p not in HOSTILE}, "mean")
    by_rule, by_shards = {}, {}
    for attack in ATTACKS:
        sent = swarm.attacked(deltas, attack)
        for name in RULES:
            by_rule[attack, name] = compared(swarm.combine(sent, name), honest)
        for count in SHARDS:
            owners = [f"p{index:02d}" for index in range(count)]
            outcome = swarm.combine(sent, "clip", owners)
            by_shards[attack, str(count)] = compared(outcome, everyone if attack == "none" else honest)
    return by_rule, by_shards


def compared(outcome: Tensor, mean: Tensor) -> str:
    """Relative error and cosine."""
    error = float((outcome - mean).norm() / mean.norm())
    return f"{error:.2g} / {float(torch.cosine_similarity(outcome, mean, dim=0)):.2f}"


# -- the training --------------------------------------------------------------------------------


def pixels(images: np.ndarray) -> np.ndarray:
    """uint8 (n, 3, 32, 32) to grey 8 x 8, flat, in [0, 1]."""
    grey = images.astype(np.float64).mean(axis=1) / 255
    cells: np.ndarray = grey.reshape(len(grey), 8, 4, 8, 4).mean(axis=(2, 4))
    return cells.reshape(len(grey), 64)


@cache
def judge() -> tuple[MLPClassifier, np.ndarray, np.ndarray]:
    """A classifier of digits, and the features of each half of the real ones."""
    from sklearn.datasets import load_digits

    images = open_images("digits", 32)
    real = pixels(images.batch(torch.arange(images.count)).numpy())
    model = MLPClassifier((64,), early_stopping=True, random_state=0).fit(real, load_digits().target)
    return model, features(model, real[::2]), features(model, real[1::2])


def features(model: MLPClassifier, flat: np.ndarray) -> np.ndarray:
    """The hidden layer."""
    found: np.ndarray = np.maximum(flat @ model.coefs_[0] + model.intercepts_[0], 0)
    return found


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Distance between Gaussians fitted to two sets of features."""
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(s @ t).real, 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * roots)


def distance(generator: Tensor) -> float:
    """Between what this generator draws and real digits."""
    drawn = Generator(CONFIG, generator).sample(SAMPLES, seed=1).numpy()
    model, real, _ = judge()
    return frechet(features(model, pixels(drawn)), real)


def outcome(start: Tensor, attack: str, name: str, rounds: int, seed: int) -> float:
    """The distance after a training of so many rounds."""
    torch.set_num_threads(1)
    swarm = Swarm(open_images("digits", 32), start, seed)
    for _ in range(rounds):
        swarm.apply(swarm.combine(swarm.attacked(swarm.train(), attack), name))
    return distance(swarm.ema)


def trainings(start: Tensor, rounds: int, seeds: Sequence[int], processes: int) -> dict[tuple[str, str], str]:
    """(attack, rule) -> mean distance over the seeds."""
    # Both are dropped in the same way.
    kinds = [(attack, name) for attack in ATTACKS if attack != "Inf" for name in RULES]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        arms = {kind: [pool.submit(outcome, start, *kind, rounds, seed) for seed in seeds] for kind in kinds}
        return {kind: f"{np.mean([arm.result() for arm in each]):.3g}" for kind, each in arms.items()}


def table(cells: dict[tuple[str, str], str]) -> str:
    """Attacks down, rules or numbers of shards across."""
    attacks = list(dict.fromkeys(attack for attack, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    lines = ["| attack | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {attack} | " + " | ".join(cells[attack, c] for c in columns) + " |" for attack in attacks]
    return "\n".join(lines)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2])
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = warm_start()
    by_rule, by_shards = vectors(start)
    print(f"Error / cosine against the honest mean:\n\n{table(by_rule)}\n", flush=True)
    print(f"The same for clip, by the number of shards:\n\n{table(by_shards)}\n", flush=True)
    _, one, other = judge()
    print(f"Frechet distance; real digits {frechet(one, other):.2g}, at the start {distance(start[G]):.3g},")
    print(f"after {options.rounds} rounds:\n", flush=True)
    print(table(trainings(start, options.rounds, options.seeds, options.processes)))


if __name__ == "__main__":
    main()
