"""One peer's speed against a plain PyTorch loop of the same nets, batch, images, noise and threads.

``python scripts/bench_step.py`` prints the tables of docs/performance.md, "Speed of one peer".

The plain loop is what a tutorial teaches: torch's Adam, gradients set to none, the drawn images of a
step used for both networks, R1 on every sixteenth step. It sees the images and the noise of the
trainer's steps, so its losses must be the trainer's; they are compared first, and a difference ends
the script. Then all take turns of a few steps each in one process, and each turn is compared with the
turn of the plain loop beside it. Times are those of the process on its processor, so that what else the
machine does counts for little.

A lone peer is a real process with a Postgres of its own; its processor time per image is that of the
whole process, and what it waits shows in the share of the time in which it trained.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import softplus

from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.data import ImageSet, open_images
from p2pgan.gan.health import Recovery
from p2pgan.gan.models import build
from p2pgan.gan.passes import Batch
from p2pgan.gan.randomness import epoch_permutation, microbatch_latents
from p2pgan.gan.trainer import Trainer
from p2pgan.gan.units import train_unit
from p2pgan.journal import read_rows

ARMS: dict[str, dict[str, object]] = {
    # With the default learning rates some nets' losses are chaos after three steps, and cannot be compared.
    "mlp": {"model": {"name": "mlp"}, "optimizer": {"lr_g": 1e-5, "lr_d": 1e-5}},
    "dcgan": {"model": {"name": "dcgan"}},
    "dcgan at 64 px": {
        "model": {"name": "dcgan", "resolution": 64},
        "optimizer": {"lr_g": 1e-5, "lr_d": 1e-5},
    },
    "r3": {"model": {"name": "r3"}},
}
TRACE_STEPS = 6
TOLERANCE = 1e-3
"""Of losses, relative: other sums of the same numbers round in other ways, and training amplifies it."""
UNIT_STEPS = 16
RUN = "bench"


class Plain:
    """The loop to compare with."""

    def __init__(self, config: GanConfig, images: ImageSet) -> None:
        self.config, self.images = config, images
        self.g, self.d = build(config.model, config.seed)
        settings = config.optimizer
        betas = (settings.beta1, settings.beta2)
        self.adam_g = torch.optim.Adam(self.g.parameters(), settings.lr_g, betas)
        self.adam_d = torch.optim.Adam(self.d.parameters(), settings.lr_d, betas)

    def step(self, start: int, stop: int) -> tuple[float, float]:
        """One step on these positions of epoch 0; the losses of D and G."""
        config = self.config
        loss = config.loss
        indices = epoch_permutation(config.seed, 0, self.images.count)[start:stop]
        real = self.images.batch(indices).float().div(127.5).sub(1.0)
        latents = microbatch_latents(config.seed, 0, start, stop - start, config.model.latent_dim)
        lazy = (start // config.step_images) % loss.r1_every == 0

        self.adam_d.zero_grad()
        fake = self.g(latents)
        seen = fake.detach()
        real.requires_grad_(lazy)
        on_real, on_fake = self.d(real), self.d(seen)
        loss_d = softplus(-on_real).mean() + softplus(on_fake).mean()
        total = loss_d
        if lazy:
            total = total + _slope(on_real, real) * (loss.r1_gamma / 2 * loss.r1_every)
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.adam_d.step()

        self.adam_g.zero_grad()
        loss_g = softplus(-self.d(fake)).mean()
        loss_g.backward()  # type: ignore[no-untyped-call]  # as above
        self.adam_g.step()
        return loss_d.item(), loss_g.item()

    def unit(self, steps: int) -> None:
        """The first steps of the epoch."""
        size = self.config.step_images
        for start in range(0, steps * size, size):
            self.step(start, start + size)


class Timed(Trainer):
    """A trainer that tells how long it prepares what goes into the networks."""

    loading_s = 0.0

    def _batch(self, epoch: int, start: int, stop: int) -> Batch:
        began = time.process_time()
        batch = super()._batch(epoch, start, stop)
        self.loading_s += time.process_time() - began
        return batch


def _slope(logits: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def compare_losses(config: GanConfig, images: ImageSet) -> float:
    """The largest relative difference of the losses. Raises SystemExit if they are not the same."""
    plain, trainer, worst = Plain(config, images), Trainer(config, images), 0.0
    for start in range(0, TRACE_STEPS * config.step_images, config.step_images):
        stop = start + config.step_images
        stats = trainer.train_microbatch(0, start, stop)
        for theirs, ours in zip(plain.step(start, stop), (stats.loss_d, stats.loss_g), strict=True):
            worst = max(worst, abs(theirs - ours) / abs(theirs))
    if worst > TOLERANCE:
        raise SystemExit(f"the losses differ by {worst:.1e}: these are not the same steps")
    return worst


def seconds(work: Callable[[], object]) -> float:
    """Processor time of this process for ``work``."""
    began = time.process_time()
    work()
    return time.process_time() - began


def in_turns(config: GanConfig, images: ImageSet, turns: int, steps: int) -> tuple[float, list[float]]:
    """Seconds of the plain loop for an image, then of all its turns: speed of bare steps, speed of
    units as ``train`` makes them, share of loading. Speeds are ratios to the plain loop's.
    """
    plain, trainer = Plain(config, images), Timed(config, images)
    recovery, stop = Recovery(trainer), steps * config.step_images
    recovery.mark(trainer.theta())

    def bare() -> None:
        for start in range(0, stop, config.step_images):
            trainer.train_microbatch(0, start, start + config.step_images)

    def unit() -> None:
        train_unit(trainer, 1, 0, 0, stop, lambda: False, lambda stats, _done: recovery.after(stats))

    plain.unit(2)
    bare()
    rows: list[tuple[float, float, float, float]] = []
    for _ in range(turns):
        plain_s = seconds(lambda: plain.unit(steps))
        trainer.loading_s = 0.0
        bare_s = seconds(bare)
        loading = trainer.loading_s / bare_s
        rows.append((plain_s / stop, plain_s / bare_s, plain_s / seconds(unit), loading))
    first, *others = (statistics.median(column) for column in zip(*rows, strict=True))
    return first, others


@contextmanager
def lone_peer(settings: dict[str, object], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a run of its own; it is asked to leave in the end."""
    config = folder / "run.yaml"
    config.write_text(json.dumps({"gan": settings, "dataset": "digits"}))
    said = ["--config", str(config), "--run", RUN]
    place = ["--rendezvous", f"embedded:{folder / 'postgres'}", "--state-dir", str(folder / "state")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "p2pgan", "lead", *place, *said, "--threads", "1"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def alone(settings: dict[str, object], wall_s: float) -> tuple[float, float]:
    """Processor seconds for an image of a peer that joins nobody, and the share of time it trains."""
    with tempfile.TemporaryDirectory(prefix="p2pgan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        journal = folder / "state" / "journal.sqlite"
        with lone_peer(settings, folder) as process:
            while not journal.exists() or not _has_versions(journal):
                if process.poll() is not None:
                    raise SystemExit((folder / "log.txt").read_text())
                time.sleep(0.2)
            time.sleep(wall_s / 4)  # until the first commit and the first samples are over
            began_at, began_s, images = time.time(), _processor_seconds(process.pid), _counted(journal)
            time.sleep(wall_s)
            ended_at, spent_s = time.time(), _processor_seconds(process.pid) - began_s
            images = _counted(journal) - images
        units = read_rows(journal, "units", RUN)
        trained = sum(unit["seconds"] for unit in units if began_at < unit["at"] <= ended_at)
    return spent_s / images, trained / (ended_at - began_at)


def _has_versions(journal: Path) -> bool:
    return bool(read_rows(journal, "versions", RUN))


def _counted(journal: Path) -> int:
    """Images that the peer has trained."""
    return sum(unit["images"] for unit in read_rows(journal, "units", RUN))


def _processor_seconds(pid: int) -> float:
    """User and system time of a process; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", default=",".join(("mlp", "dcgan")), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--steps", type=int, default=UNIT_STEPS, help="in a turn")
    parser.add_argument("--alone-s", type=float, default=0.0, help="how long a lone peer is watched; 0: not")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| net | losses differ by | steps | units of `train` | loading | lone peer | of the time it trains |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in asked.arms.split(","):
        settings = ARMS[name]
        config = parse_config(settings)
        images = open_images("digits", config.model.resolution)
        worst = compare_losses(config, images)
        plain_s, (bare, unit, loading) = in_turns(config, images, asked.turns, asked.steps)
        row = [name, f"{worst:.0e}", f"{bare:.2f}", f"{unit:.2f}", f"{loading:.1%}"]
        if asked.alone_s:
            peer_s, training = alone(settings, asked.alone_s)
            row += [f"{plain_s / peer_s:.2f}", f"{training:.0%}"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    _main()
