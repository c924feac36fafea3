"""What the bench of scaling tells of its contestants; its processes take minutes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from p2pgan.gan.data import open_images

SCRIPT = Path(__file__).parents[3] / "scripts" / "bench_scaling.py"


def test_rows_tell_speed_beside_one_process_and_beside_the_ceiling() -> None:
    bench = runpy.run_path(str(SCRIPT))
    rows = bench["contestants"](2, "mlp")
    for place, row in enumerate(rows):
        row.rates[:] = [100.0 * (place + 1), 100.0 * (place + 1) + 10, 100.0 * (place + 1) + 20]
    found = bench["facts"](rows)
    assert [row["contestant"] for row in found][:2] == ["one process", "independent"]
    assert {(row["contestant"], row["sync"]) for row in found} >= {
        ("p2pgan", "deltas"),
        ("p2pgan", "gradients"),
        ("p2pgan shared", "deltas"),
        ("p2pgan shared", "gradients"),
    }
    for row in found:
        assert row["min"] <= row["images_per_s"] <= row["max"]
        assert row["speedup"] == round(row["images_per_s"] / 110, 3)
        assert row["of_independent"] == round(row["images_per_s"] / 210, 3)
    table = bench["table"](found).splitlines()
    assert len(table) == 2 + len(found)
    assert len({line.count("|") for line in table}) == 1


@pytest.mark.parametrize(("contestant", "sealed"), [("p2pgan", True), ("p2pgan shared", False)])
def test_peers_share_memory_only_where_the_row_says_so(
    contestant: str, sealed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = runpy.run_path(str(SCRIPT))
    commands: list[list[str]] = []

    def start(command: list[str], _log: Path) -> subprocess.Popen[bytes]:
        commands.append(command)
        return subprocess.Popen([sys.executable, "-c", ""])

    known = bench["measured"].__globals__
    monkeypatch.setitem(known, "start", start)
    monkeypatch.setitem(known, "_until_log_says", lambda *_: None)
    monkeypatch.setitem(known, "_watched", lambda *_: 7.0)
    row = next(row for row in bench["contestants"](2, "mlp") if row.contestant == contestant)
    assert row.turn(bench["Bench"]("dsn", tmp_path, "digits", 2, 1.0), bench["gan_of"]("mlp")) == 7.0
    assert [command[2] for command in commands] == ["lead", "join"]
    assert [("--no-shared-memory" in command) for command in commands] == [sealed, sealed]


def test_every_epoch_of_what_all_train_on_is_whole_steps(tmp_path: Path) -> None:
    bench = runpy.run_path(str(SCRIPT))
    images = open_images(bench["write_images"](tmp_path / "images"), 32)
    digits = open_images("digits", 32)
    assert images.count % 64 == 0
    assert torch.equal(images.batch(torch.arange(digits.count)), digits.batch(torch.arange(digits.count)))


def test_only_dcgan_gets_another_batch() -> None:
    bench = runpy.run_path(str(SCRIPT))
    assert [bench["gan_of"](net)["microbatch"] for net in ("mlp", "dcgan")] == [64, 64]
    assert [bench["gan_of"](net, 16)["microbatch"] for net in ("mlp", "dcgan")] == [64, 16]
