"""What the bench of scaling tells of its contestants; its processes take minutes."""

from __future__ import annotations

import runpy
from pathlib import Path

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
    }
    for row in found:
        assert row["min"] <= row["images_per_s"] <= row["max"]
        assert row["speedup"] == round(row["images_per_s"] / 110, 3)
        assert row["of_independent"] == round(row["images_per_s"] / 210, 3)
    table = bench["table"](found).splitlines()
    assert len(table) == 2 + len(found)
    assert len({line.count("|") for line in table}) == 1
