"""Images per second of n processes that train one GAN, by several ways, in one run.

``python scripts/bench_scaling.py --json rows.json`` takes about ten minutes for two peers and prints a
table in Markdown; docs/performance.md has it. Contestants take turns, in an order drawn anew for each
repeat, with one thread of torch per process and the same settings of the allocator: one process, n that do
not know of each other (the ceiling), torch's DistributedDataParallel over gloo, and p2pgan's peers with
deltas and with gradients. Ours are real ones with a database that they commit to, sealed ("p2pgan") and in
shared memory ("p2pgan shared"), as peers of one machine are by themselves; what counts is what is in
versions. R1 is off, so that all do the same work in each step.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image

from p2pgan.gan.data import open_images
from p2pgan.journal import read_rows
from p2pgan.rendezvous import EmbeddedPostgres

HERE = Path(__file__).parent / "contestants"
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "OMP_NUM_THREADS": "1",
}
NETS: dict[str, dict[str, Any]] = {
    "mlp": {"model": {"name": "mlp"}, "microbatch": 64},
    "dcgan": {"model": {"name": "dcgan", "resolution": 64}, "microbatch": 64},
}
"""The settings of ``gan``."""
LOCAL_STEPS = {"mlp": 20, "dcgan": 4}
"""Of deltas, between two averagings, so that a round is over in seconds: a step of dcgan takes about one."""
IMAGES = 2048
"""A multiple of all batches. An epoch of 1,797 ends in a step of 5, which takes half as long as one of 64."""
PATIENCE_S = 180.0
LOOK_S = 0.5


@dataclass
class Bench:
    """What all turns share."""

    dsn: str
    folder: Path
    images: str
    """What all train on, as ``--dataset`` has it."""
    peers: int
    seconds: float
    local_steps: int = 0
    turns: int = 0


@dataclass
class Row:
    """What is known of one contestant and net."""

    contestant: str
    net: str
    peers: int
    sync: str
    turn: Callable[[Bench, dict[str, Any]], float]
    rates: list[float] = field(default_factory=list)

    @property
    def images_per_s(self) -> float:
        return median(self.rates)


def gan_of(net: str, batch: int | None = None) -> dict[str, Any]:
    """The settings of ``gan`` for a net, dcgan with another batch if one is said."""
    chosen = {**NETS[net], "loss": {"r1_gamma": 0.0}}
    if batch is not None and net == "dcgan":
        chosen["microbatch"] = batch
    return chosen


def start(command: Sequence[str], log: Path | None = None) -> subprocess.Popen[str]:
    """A process under the settings that all have."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    if log is not None:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": log.open("w"), "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, *command], env={**os.environ, **ENVIRONMENT}, text=True, **pipes)


def together(processes: list[subprocess.Popen[str]]) -> float:
    """Let processes that say ``ready`` go at the same time; the sum of their rates."""
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{process.args!r} did not get ready")
    rates: list[float] = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        said, _ = process.communicate(timeout=PATIENCE_S)
        result = json.loads(said)
        rates.append(result["images"] / result["seconds"])
    return sum(rates)


def alone(count: int) -> Callable[[Bench, dict[str, Any]], float]:
    """``count`` processes that know nothing of each other."""

    def turn(bench: Bench, gan: dict[str, Any]) -> float:
        command = [str(HERE / "train_alone.py"), json.dumps(gan), bench.images, str(bench.seconds)]
        return together([start(command) for _ in range(count)])

    return turn


def ddp(bench: Bench, gan: dict[str, Any]) -> float:
    """torch's DistributedDataParallel over gloo."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(HERE / "train_ddp.py"), json.dumps(gan), bench.images, str(bench.seconds)]
        command.append(str(bench.peers))
        return together([start([*command, str(place), folder]) for place in range(bench.peers)])


def p2pgan(sync: str, shared: bool) -> Callable[[Bench, dict[str, Any]], float]:
    """Peers that average with each other, in sealed frames or in shared memory."""

    def turn(bench: Bench, gan: dict[str, Any]) -> float:
        bench.turns += 1
        run = f"{sync}-{bench.turns}"
        config = bench.folder / f"{run}.json"
        averaging: dict[str, Any] = {"mode": sync}
        if sync == "deltas":
            averaging["local_steps"] = bench.local_steps
        config.write_text(json.dumps({"gan": gan, "dataset": bench.images, "sync": averaging}))
        return measured(bench, run, config, shared)

    return turn


def measured(bench: Bench, run: str, config: Path, shared: bool) -> float:
    """Images per second of peers with that configuration, who end afterwards."""
    processes = [_peer(bench, run, f"{run}-0", shared, config)]
    try:
        _until_log_says(bench, run, processes, "listens on")  # nobody joins a run that is not there yet
        processes += [_peer(bench, run, f"{run}-{place}", shared) for place in range(1, bench.peers)]
        _until_log_says(bench, run, processes, " version ")  # before, there is no journal to look at
        return _watched(bench, run, processes)
    finally:
        for process in processes[1:] + processes[:1]:
            process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait(PATIENCE_S)


def _peer(
    bench: Bench, run: str, name: str, shared: bool, config: Path | None = None
) -> subprocess.Popen[str]:
    """One peer; the one with a configuration creates the run."""
    command = ["-m", "p2pgan", "join" if config is None else "lead", "--rendezvous", bench.dsn, "--run", run]
    command += ["--name", name, "--state-dir", str(bench.folder / name), "--threads", "1"]
    if not shared:
        command.append("--no-shared-memory")
    if config is not None:
        command += ["--config", str(config)]
    return start(command, bench.folder / f"{name}.log")


def _until_log_says(bench: Bench, run: str, processes: list[subprocess.Popen[str]], words: str) -> None:
    """Wait for the first peer to say so."""
    log = bench.folder / f"{run}-0.log"
    _until(bench, run, processes, lambda: words in log.read_text())


def _watched(bench: Bench, run: str, processes: list[subprocess.Popen[str]]) -> float:
    """Images per second in versions, from the second one on to which all contributed."""
    journal = bench.folder / f"{run}-0" / "journal.sqlite"
    rounds: list[dict[str, Any]] = []

    def enough() -> bool:
        rounds[:] = [r for r in read_rows(journal, "rounds", run) if r["members"] == bench.peers][1:]
        return len(rounds) > 2 and rounds[-1]["at"] - rounds[0]["at"] >= bench.seconds

    _until(bench, run, processes, enough)
    images: int = sum(row["images"] for row in rounds[1:])
    return images / float(rounds[-1]["at"] - rounds[0]["at"])


def _until(bench: Bench, run: str, processes: list[subprocess.Popen[str]], look: Callable[[], bool]) -> None:
    """Ends the bench if that does not come, or a peer ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        if any(process.poll() is not None for process in processes) or time.monotonic() > deadline:
            raise SystemExit(f"the peers of {run} did not get on:\n{_last_words(bench, run)}")
        time.sleep(LOOK_S)


def _last_words(bench: Bench, run: str) -> str:
    return "\n".join(log.read_text().splitlines()[-1] for log in sorted(bench.folder.glob(f"{run}-*.log")))


def write_images(folder: Path) -> str:
    """The handwritten digits as ``IMAGES`` files, some of them twice; how ``--dataset`` names them."""
    folder.mkdir()
    digits = open_images("digits", 32)
    pixels = digits.batch(torch.arange(IMAGES) % digits.count).permute(0, 2, 3, 1)
    for number, image in enumerate(pixels):
        Image.fromarray(image.numpy()).save(folder / f"{number:04}.png")
    return f"folder:{folder}"


def contestants(peers: int, net: str) -> list[Row]:
    """All that take part."""
    return [
        Row("one process", net, 1, "", alone(1)),
        Row("independent", net, peers, "", alone(peers)),
        Row("DDP over gloo", net, peers, "", ddp),
        *(
            Row("p2pgan shared" if shared else "p2pgan", net, peers, sync, p2pgan(sync, shared))
            for shared in (False, True)
            for sync in ("deltas", "gradients")
        ),
    ]


def facts(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows as they are printed and written; ratios are those of medians."""
    one, independent = rows[0].images_per_s, rows[1].images_per_s
    return [
        {
            "contestant": row.contestant,
            "net": row.net,
            "peers": row.peers,
            "sync": row.sync,
            "images_per_s": round(row.images_per_s, 1),
            "min": round(min(row.rates), 1),
            "max": round(max(row.rates), 1),
            "speedup": round(row.images_per_s / one, 3),
            "of_independent": round(row.images_per_s / independent, 3),
        }
        for row in rows
    ]


def table(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = list(found[0])
    lines = [names, ["---"] * len(names), *([str(v) for v in row.values()] for row in found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=int, default=2)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="measured in each turn")
    parser.add_argument(
        "--local-steps", type=int, help=f"of deltas, between two averagings; if not said {LOCAL_STEPS}"
    )
    parser.add_argument("--batch", type=int, help="images in a step of dcgan; 64 if not said")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    arguments = parser.parse_args()
    everything: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="p2pgan-scaling-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may run under another account
        with EmbeddedPostgres(folder / "postgres") as postgres:
            images = write_images(folder / "images")
            bench = Bench(postgres.dsn, folder, images, arguments.peers, arguments.seconds)
            for net in arguments.nets:
                bench.local_steps = arguments.local_steps or LOCAL_STEPS[net]
                rows = contestants(arguments.peers, net)
                for _ in range(arguments.repeats):
                    for row in random.sample(rows, len(rows)):
                        row.rates.append(row.turn(bench, gan_of(net, arguments.batch)))
                        print(f"{net} {row.contestant} {row.sync} {row.rates[-1]:.1f}", file=sys.stderr)
                everything += facts(rows)
    print(table(everything))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
