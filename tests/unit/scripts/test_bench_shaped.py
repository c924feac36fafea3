"""The bench over slow links: what it makes of its figures, and what it does where it may not have links."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.bench_averaging import Group
from scripts.bench_shaped import Apart, Network, NotPermitted, main


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``ip`` and ``tc`` that write down what they are told; tc is not permitted."""
    folder = tmp_path / "bin"
    folder.mkdir()
    said = shlex.quote(str(tmp_path / "said"))
    for name, then in (("ip", "exit 0"), ("tc", "echo 'Operation not permitted' >&2; exit 2")):
        (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {said}\n{then}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return tmp_path / "said"


def test_where_links_are_not_permitted_it_says_so_and_writes_no_rows(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.json"
    monkeypatch.setattr(sys, "argv", ["bench_shaped", "--json", str(rows)])
    main()
    assert json.loads(rows.read_text()) == []
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("not measured: tc -n p2pgan-bench-hub qdisc add dev port0")
    assert "Operation not permitted; it needs root" in last
    assert tools.exists()


def test_where_the_tools_are_missing_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["bench_shaped"])
    main()
    assert "not measured: ip netns add p2pgan-bench-hub" in capsys.readouterr().out


def test_what_was_made_before_it_was_refused_is_deleted(tools: Path) -> None:
    with pytest.raises(NotPermitted), ExitStack() as stack:
        Network(2, 100.0, "reno").open(stack)
    said = tools.read_text().splitlines()
    assert "ip netns exec p2pgan-bench-0 sysctl -qw net.ipv4.tcp_congestion_control=reno" in said
    made, deleted = (
        {line.split()[-1] for line in said if line.startswith(f"ip netns {verb} ")}
        for verb in ("add", "delete")
    )
    assert made == deleted == {"p2pgan-bench-hub", "p2pgan-bench-0"}


@pytest.mark.parametrize(
    ("n", "codec", "bound_s"),
    [
        # A member of two sends its vector once, half as its slice and half as its result.
        (2, "fp32", 6.4e6 * 8 / 100e6),
        (2, "fp16", 3.2e6 * 8 / 100e6),
        (3, "fp32", 4 / 3 * 6.4e6 * 8 / 100e6),
    ],
)
def test_the_bound_is_what_a_member_must_send_over_its_line(n: int, codec: str, bound_s: float) -> None:
    group = Apart("ours", "ours.py", codec, True)
    group.seconds[:], group.sent[:] = [3 * bound_s, bound_s, 2 * bound_s], [10 * n, 20 * n, 30 * n]
    row = group.facts(n, 1_600_000, 100.0, gloo=4 * bound_s)
    assert row["bytes"] == 6_400_000
    assert row["bound_s"] == pytest.approx(bound_s)
    assert row["ratio_to_bound"] == pytest.approx(2)
    assert row["ratio_to_gloo"] == pytest.approx(0.5)
    assert (row["min_s"], row["median_s"], row["max_s"]) == pytest.approx((bound_s, 2 * bound_s, 3 * bound_s))
    assert row["sent_bytes"] == 20


def test_bytes_on_the_line_are_those_of_the_round_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = iter([1000, 1700, 1700, 1900])
    group = Apart("ours", "ours.py", "fp16", True, on_the_line=lambda: next(counters))
    monkeypatch.setattr(Group, "round", lambda self, *_: self.sent.append(0))
    for number in range(2):
        group.round(number, None, counts=True)
    assert group.sent == [700, 200]


def test_a_member_starts_inside_its_namespace_and_listens_there() -> None:
    command = Apart("ours", "ours.py", "fp16", True).command({"place": 1})
    assert command[:4] == ["ip", "netns", "exec", "p2pgan-bench-1"]
    assert json.loads(command[-1])["host"] == "10.83.0.2"
