"""The bench of the passes over a vector runs them all; how long they take is no matter of a test."""

from __future__ import annotations

from scripts.bench_passes import least_ms, passes


def test_every_pass_is_measured() -> None:
    taken = {name: least_ms(work, turns=1) for name, work in passes().items()}
    assert len(taken) == 7
    assert min(taken.values()) > 0
