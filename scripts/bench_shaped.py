"""How long the mean of a vector takes over slow links, ours beside torch's gloo, in one run.

``sudo python -m scripts.bench_shaped`` prints a table in Markdown; docs/performance.md has it. Each member
is in a network namespace of its own, and each has a link of so many megabits a second, both ways (a pair of
veth, a token bucket at either end, a bridge between them all). All else is as in bench_averaging.py. The
bound is what the formula says each member must send, over the bandwidth. Where namespaces are not permitted
it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from p2pgan.protocol.codecs import BYTES_PER_ELEMENT
from scripts.bench_averaging import Group, take_turns

SHAPE = ("burst", "32kb", "latency", "50ms")
"""Of the token bucket: 3 ms of 100 Mbit/s at once, and a queue like a home router's."""
DEVICE = "eth0"
"""A member's own end of its link."""
HUB = "p2pgan-bench-hub"


class NotPermitted(Exception):
    """Namespaces, or the shaping of their links, are not to be had."""


@dataclass(frozen=True)
class Network:
    """Namespaces, one for each member, whose links meet at a bridge."""

    members: int
    mbit: float
    congestion: str = ""
    """TCP's congestion control between them; empty for the system's own."""

    def open(self, stack: ExitStack) -> None:
        """Until ``stack`` is closed. Raises NotPermitted."""
        self._add(stack, HUB)
        run("ip", "-n", HUB, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", HUB, "link", "set", "bridge", "up")
        for place in range(self.members):
            self._add(stack, space(place))
            port, own = f"port{place}", ("netns", space(place))
            run("ip", "-n", HUB, "link", "add", port, "type", "veth", "peer", "name", DEVICE, *own)
            run("ip", "-n", HUB, "link", "set", port, "master", "bridge", "up")
            run("ip", "-n", space(place), "addr", "add", f"{address(place)}/24", "dev", DEVICE)
            if self.congestion:
                setting = f"net.ipv4.tcp_congestion_control={self.congestion}"
                run("ip", "netns", "exec", space(place), "sysctl", "-qw", setting)
            for device in ("lo", DEVICE):
                run("ip", "-n", space(place), "link", "set", device, "up")
            for name, device in ((HUB, port), (space(place), DEVICE)):
                rate = ("rate", f"{self.mbit:g}mbit")
                run("tc", "-n", name, "qdisc", "add", "dev", device, "root", "tbf", *rate, *SHAPE)

    def sent(self) -> int:
        """Bytes that all members together have put on their links so far, headers of all layers included."""
        shown = (run("ip", "-n", space(p), "-s", "-j", "link", "show", DEVICE) for p in range(self.members))
        return sum(json.loads(text)[0]["stats64"]["tx"]["bytes"] for text in shown)

    def _add(self, stack: ExitStack, name: str) -> None:
        run("ip", "netns", "add", name)
        stack.callback(run, "ip", "netns", "delete", name)


def run(*command: str) -> str:
    """What a command prints. Raises NotPermitted if it fails."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NotPermitted(f"{' '.join(command)}: {said.strip()}") from error


def space(place: int) -> str:
    """The name of a member's namespace."""
    return f"p2pgan-bench-{place}"


def address(place: int) -> str:
    """Where a member listens."""
    return f"10.83.0.{place + 1}"


@dataclass
class Apart(Group):
    """A contestant whose members are in namespaces."""

    on_the_line: Callable[[], int] = int

    def command(self, job: dict[str, Any]) -> list[str]:
        place = job["place"]
        inside = ["ip", "netns", "exec", space(place), "env", f"GLOO_SOCKET_IFNAME={DEVICE}"]
        return [*inside, *super().command({**job, "host": address(place)})]

    def round(self, number: int, expected: Any, counts: bool) -> None:
        before = self.on_the_line()
        super().round(number, expected, counts)
        self.sent[-1] = self.on_the_line() - before

    def facts(self, n: int, elements: int, mbit: float, gloo: float) -> dict[str, Any]:
        """What the JSON file says of it."""
        must_send = 2 * (n - 1) / n * elements * BYTES_PER_ELEMENT[self.codec]
        bound_s, median_s = must_send * 8 / (mbit * 1e6), median(self.seconds)
        return {
            "contestant": self.name,
            "n": n,
            "bytes": 4 * elements,
            "codec": self.codec,
            "mbit": mbit,
            "median_s": median_s,
            "min_s": min(self.seconds),
            "max_s": max(self.seconds),
            "ratio_to_gloo": median_s / gloo,
            "bound_s": bound_s,
            "ratio_to_bound": median_s / bound_s,
            "sent_bytes": median(self.sent) / n,
        }


def compare(n: int, megabytes: float, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All contestants over ``n`` members."""
    elements = int(megabytes * 1e6) // 4
    network = Network(n, arguments.shaped, arguments.congestion)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="p2pgan-bench-"))
        network.open(stack)
        of = partial(Apart, on_the_line=network.sent)
        groups = [of("gloo", "gloo.py", "fp32", False)]
        groups += [of("p2pgan", "ours.py", codec, True, more={"shared": False}) for codec in arguments.codecs]
        take_turns(groups, n, elements, folder, arguments.warm, arguments.repeats)
    gloo = median(groups[0].seconds)
    return [group.facts(n, elements, arguments.shaped, gloo) for group in groups]


def main() -> None:
    """Compare all contestants at each size and number of members."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shaped", type=float, default=100.0, metavar="MBIT", help="of each link, both ways")
    parser.add_argument("--congestion", default="", metavar="NAME", help="TCP's congestion control, as reno")
    parser.add_argument("--n", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--mb", type=float, nargs="+", default=[6.4])
    parser.add_argument("--codecs", nargs="+", default=["fp32", "fp16", "int8"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warm", type=int, default=1, help="rounds before those that count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(
        "| n | MB | contestant | codec | median s (min-max) | to gloo | bound s | to bound | MB on a line |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    try:
        for megabytes in arguments.mb:
            for n in arguments.n:
                found = compare(n, megabytes, arguments)
                rows += found
                print(*map(_line, found), sep="\n", flush=True)
    except NotPermitted as error:
        print(f"\nnot measured: {error}; it needs root, and Linux with namespaces and the token bucket (tbf)")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def _line(row: dict[str, Any]) -> str:
    cells = [
        row["n"],
        f"{row['bytes'] / 1e6:g}",
        row["contestant"],
        row["codec"],
        f"{row['median_s']:.3f} ({row['min_s']:.3f}-{row['max_s']:.3f})",
        f"{row['ratio_to_gloo']:.2f}",
        f"{row['bound_s']:.3f}",
        f"{row['ratio_to_bound']:.2f}",
        f"{row['sent_bytes'] / 1e6:.2f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
