"""The bench of averaging, with a vector so small that it is over in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "bench_averaging.py"
KEYS = {
    "contestant",
    "n",
    "bytes",
    "codec",
    "sealed",
    "median_s",
    "min_s",
    "max_s",
    "ratio_to_gloo",
    "cpu_s",
    "sent_bytes",
    "shared_bytes",
    "peak_vectors",
}
BYTES = 200_000


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    found = tmp_path_factory.mktemp("bench") / "rows.json"
    command = [sys.executable, str(SCRIPT), "--n", "2", "--mb", "0.2", "--repeats", "1", "--warm", "3"]
    done = subprocess.run([*command, "--json", str(found)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    read: list[dict[str, Any]] = json.loads(found.read_text())
    table = [line for line in done.stdout.splitlines() if line.startswith("| 2 | 0.2 |")]
    assert len(table) == len(read)
    return read


def test_every_contestant_has_a_row_with_all_that_is_told_of_it(rows: list[dict[str, Any]]) -> None:
    told = [(row["contestant"], row["codec"], row["sealed"]) for row in rows]
    ours = [("p2pgan", codec, True) for codec in ("fp32", "fp16", "int8")]
    shared = [("p2pgan shared", codec, False) for codec in ("fp32", "fp16")]
    assert told == [("gloo", "fp32", False), *ours, *shared]
    for row in rows:
        assert row.keys() == KEYS
        assert (row["n"], row["bytes"]) == (2, BYTES)
        assert 0 < row["min_s"] <= row["median_s"] <= row["max_s"]
        assert row["cpu_s"] > 0
        assert (row["peak_vectors"] is not None) == Path("/proc/self/clear_refs").exists()
    assert rows[0]["ratio_to_gloo"] == 1


def test_what_ours_sent_is_what_the_formula_says(rows: list[dict[str, Any]]) -> None:
    sent = {row["codec"]: row["sent_bytes"] for row in rows if row["contestant"] == "p2pgan"}
    per_element = {"fp32": 4.0, "fp16": 2.0, "int8": 1.004}
    for codec, size in per_element.items():
        # Both members together; headers are a larger part of a vector as small as this.
        assert sent[codec] == pytest.approx(2 * BYTES / 4 * size, rel=0.05)


def test_what_is_in_shared_memory_goes_over_no_wire(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["contestant"] == "p2pgan shared":
            assert row["sent_bytes"] == 0
            assert row["shared_bytes"] == 2 * BYTES / (1 if row["codec"] == "fp32" else 2)
        else:
            assert row["shared_bytes"] == 0


def start_of_hivemind(numpy: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The contestant with stand-ins for hivemind and numpy, up to where it would begin."""
    (folder / "hivemind" / "compression").mkdir(parents=True)
    (folder / "hivemind" / "__init__.py").touch()
    (folder / "hivemind" / "compression" / "__init__.py").write_text(
        "Float16Compression = NoCompression = None"
    )
    script = SCRIPT.parent / "contestants" / "swarm.py"
    begin = (
        f"import runpy, numpy; numpy.__version__ = {numpy!r}; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    paths = os.pathsep.join([str(folder), str(script.parent)])
    return subprocess.run(
        [sys.executable, "-c", begin], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("numpy", "refused"), [("2.3.5", False), ("2.4.0", True), ("2.10.0rc1", True), ("3.0", True)]
)
def test_hivemind_does_not_take_part_under_a_numpy_with_which_it_fails_silently(
    numpy: str, refused: bool, tmp_path: Path
) -> None:
    ended = start_of_hivemind(numpy, tmp_path)
    assert ended.returncode == 1, "there is no task for it"
    said = ended.stderr.strip().splitlines()
    assert (
        said == [f"hivemind fails silently with numpy {numpy}: install 'numpy<2.4' where --hivemind points"]
    ) == refused
