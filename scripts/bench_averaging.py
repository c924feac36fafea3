"""How long the mean of a vector over n processes of this machine takes, by several ways, in one run.

``python scripts/bench_averaging.py --json rows.json`` prints a table in Markdown; docs/performance.md has
it. Each contestant has n processes of its own (scripts/contestants). All are there for the whole run, under
the same settings of the allocator, one thread of torch each, and take turns: every repeat asks each for one
round, in an order that is drawn anew. A round lasts from the first member's beginning to the last one's end.
Ours seals every frame or, as "p2pgan shared", puts payloads where the others read them; it keeps its
accounts and compares digests. torch's gloo, against which all are compared, does none of that. What takes
part is checked: the mean must be the mean.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from p2pgan.protocol.codecs import CodecName

HERE = Path(__file__).parent / "contestants"
ALLOCATOR = {
    "keeps": {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)},
    "returns": {"MALLOC_MMAP_THRESHOLD_": str(1 << 17)},
}
"""glibc's settings: freed memory is kept, as by peers, or returns at once: then a peak is what was in use."""
COLUMNS = (
    "n", "MB", "contestant", "codec", "sealed", "median ms (min-max)", "to gloo", "processor ms", "MB sent",
    "MB shared", "vectors of memory",
)  # fmt: skip
MEGABYTES = [25.6, 100.0]
TOLERANCE: dict[CodecName, float] = {"fp32": 1e-6, "fp16": 5e-6, "bf16": 5e-5, "int8": 2e-4}
"""Of an element of the mean, where elements are about 1e-3."""


@dataclass
class Group:
    """The processes of one contestant."""

    name: str
    script: str
    codec: CodecName
    sealed: bool
    interpreter: str = sys.executable
    more: dict[str, Any] = field(default_factory=dict)
    allocator: str = "keeps"
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    """Bytes that all members together had sent after each round."""
    shared: list[int] = field(default_factory=list)
    """Bytes that they had let each other read in shared memory."""
    memory: list[int] = field(default_factory=list)
    """The most bytes that a member's rounds had taken beyond what it had before the first."""

    def start(self, n: int, elements: int, folder: str) -> None:
        """Start the members, who load torch meanwhile."""
        job = {"n": n, "elements": elements, "codec": self.codec, "folder": folder, **self.more}
        environment = {**os.environ, **ALLOCATOR[self.allocator], "OMP_NUM_THREADS": "1"}
        for place in range(n):
            command = self.command({**job, "place": place})
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.processes.append(subprocess.Popen(command, env=environment, **pipes))

    def command(self, job: dict[str, Any]) -> list[str]:
        """Starts one member."""
        return [self.interpreter, str(HERE / self.script), json.dumps(job)]

    def introduce(self) -> None:
        """Pass on what the members say to each other until all are ready."""
        said = self._heard()
        while not all("ready" in one for one in said):
            self._tell({"answer": [one["ask"] for one in said]})
            said = self._heard()

    def round(self, number: int, expected: torch.Tensor, counts: bool) -> None:
        """One round of all members; its seconds are kept if it ``counts``."""
        self._tell({"round": number})
        said = self._heard()
        for one in said:
            sample = torch.tensor(one["sample"], dtype=torch.float64)
            if (sample - expected).abs().max().item() > TOLERANCE[self.codec]:
                raise SystemExit(f"{self.name} gave another mean")
        if len({one.get("digest") for one in said}) != 1:
            raise SystemExit(f"the members of {self.name} have different digests")
        self.sent.append(sum(one.get("sent", 0) for one in said))
        self.shared.append(sum(one.get("shared", 0) for one in said))
        self.memory += [max(one["memory"] for one in said)] if all("memory" in one for one in said) else []
        if counts:
            self.seconds.append(max(one["done"] for one in said) - min(one["began"] for one in said))
            self.cpu.append(sum(one["cpu"] for one in said))

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None and process.stdin is not None:
                process.stdin.close()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def row(self, n: int, size: int, gloo: float) -> dict[str, object]:
        """What the JSON file says of it."""
        return {
            "contestant": self.name,
            "n": n,
            "bytes": size,
            "codec": self.codec,
            "sealed": self.sealed,
            "median_s": median(self.seconds),
            "min_s": min(self.seconds),
            "max_s": max(self.seconds),
            "ratio_to_gloo": median(self.seconds) / gloo,
            "cpu_s": median(self.cpu),
            "sent_bytes": self.sent[-1] - self.sent[-2],
            "shared_bytes": self.shared[-1] - self.shared[-2],
            "peak_vectors": self.memory[-1] / size if self.memory else None,
        }

    def _tell(self, what: dict[str, object]) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()

    def _heard(self) -> list[dict[str, Any]]:
        lines = [process.stdout.readline() for process in self.processes if process.stdout is not None]
        if not all(lines):
            raise SystemExit(f"a member of {self.name} ended; what it said stands above")
        return [json.loads(line) for line in lines]


def contestants(arguments: argparse.Namespace, dsn: str | None) -> list[Group]:
    """Who takes part, gloo first."""
    groups = [Group("gloo", "gloo.py", "fp32", False)]
    for codec in arguments.codecs:
        told = {"rule": arguments.rule, "shared": False}
        groups.append(Group("p2pgan", "ours.py", codec, True, more=told))
    for codec in arguments.shared:
        told = {"rule": arguments.rule, "shared": True}
        groups.append(Group("p2pgan shared", "ours.py", codec, False, more=told))
    if dsn is not None:
        groups.append(Group("postgres", "database.py", "fp32", False, more={"dsn": dsn}))
    if arguments.hivemind is not None:
        groups.append(Group("hivemind", "swarm.py", "fp16", True, interpreter=arguments.hivemind))
    return groups


def expected_mean(n: int, elements: int) -> torch.Tensor:
    """Elements of the exact mean at the places that members tell of."""
    sys.path.insert(0, str(HERE))
    from vectors import own_vector

    vectors = [own_vector(place, elements) for place in range(n)]
    mean = torch.stack([v[:: max(1, elements // 64)][:64].double() for v in vectors]).mean(0)
    sys.path.pop(0)
    return mean


def compare(n: int, size: int, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """All contestants on vectors of ``size`` bytes over ``n`` members."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="p2pgan-bench-"))
        dsn = _database(stack, folder) if arguments.postgres else None
        groups = contestants(arguments, dsn)
        for group in groups:
            group.allocator = arguments.allocator
        take_turns(groups, n, size // 4, folder, arguments.warm, arguments.repeats)
    gloo = median(groups[0].seconds)
    return [group.row(n, size, gloo) for group in groups]


def take_turns(groups: Sequence[Group], n: int, elements: int, folder: str, warm: int, repeats: int) -> None:
    """Start all groups, let them average so often, in an order drawn anew each time, and end them."""
    expected = expected_mean(n, elements)
    draw = random.Random(n * elements)
    with ExitStack() as stack:
        for group in groups:
            stack.callback(group.end)
            group.start(n, elements, folder)
        for group in groups:
            group.introduce()
        for number in range(1, warm + repeats + 1):
            for group in draw.sample(groups, len(groups)):
                group.round(number, expected, number > warm)


def _database(stack: ExitStack, folder: str) -> str:
    from p2pgan.rendezvous import EmbeddedPostgres

    postgres = EmbeddedPostgres(Path(folder) / "postgres")
    stack.callback(postgres.leave)
    return postgres.start()


def main() -> None:
    """Compare all contestants at each size and number of members."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    parser.add_argument("--n", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--mb", type=float, nargs="+", default=MEGABYTES, help="megabytes of a vector")
    parser.add_argument("--codecs", nargs="+", choices=list(TOLERANCE), default=["fp32", "fp16", "int8"])
    parser.add_argument(
        "--shared",
        nargs="*",
        default=["fp32", "fp16"],
        help="codecs of ours with payloads in shared memory",
    )
    parser.add_argument("--rule", default="mean", help="ours: how the owner makes one vector of several")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warm", type=int, default=3, help="rounds before those that count")
    parser.add_argument(
        "--allocator",
        choices=list(ALLOCATOR),
        default="keeps",
        help="of freed memory; where it returns to the system at once, the peak is what was in use",
    )
    parser.add_argument("--postgres", action="store_true", help="with the database design")
    parser.add_argument("--hivemind", metavar="PYTHON", help="an interpreter that has hivemind")
    arguments = parser.parse_args()
    if arguments.hivemind is None:
        print("hivemind does not take part: --hivemind names an interpreter that has it\n", flush=True)
    rows: list[dict[str, object]] = []
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for size in arguments.mb:
        for n in arguments.n:
            found = compare(n, 4 * round(size * 250_000), arguments)
            rows += found
            for row in found:
                print(_line(row), flush=True)
            if arguments.json is not None:
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def _line(row: dict[str, Any]) -> str:
    ms = {name: 1000 * row[name] for name in ("median_s", "min_s", "max_s", "cpu_s")}
    cells = [
        row["n"],
        f"{row['bytes'] / 1e6:g}",
        row["contestant"],
        row["codec"],
        "yes" if row["sealed"] else "no",
        f"{ms['median_s']:.1f} ({ms['min_s']:.1f}-{ms['max_s']:.1f})",
        f"{row['ratio_to_gloo']:.2f}",
        f"{ms['cpu_s']:.0f}",
        *(f"{row[name] / 1e6:.1f}" if row[name] else "" for name in ("sent_bytes", "shared_bytes")),
        "" if row["peak_vectors"] is None else f"{row['peak_vectors']:.1f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
