"""Of many faults the few that matter are found."""

from __future__ import annotations

import msgspec
import pytest

from p2pgan.simulation.draw import draw_scenario
from p2pgan.simulation.rendezvous import ModelRendezvous
from p2pgan.simulation.run import simulate
from p2pgan.simulation.shrink import shortest, shrink


def test_the_two_items_that_matter_are_left() -> None:
    tries = []

    def fails(items):
        tries.append(items)
        return {3, 17} <= set(items)

    assert shortest(range(20), fails, 300) == [3, 17]
    assert len(tries) < 60


def test_a_failure_that_needs_no_item_needs_none() -> None:
    assert shortest([1, 2, 3], lambda items: True, 300) == []


def test_tries_are_bounded() -> None:
    left = shortest(range(100), lambda items: len(items) >= 90, 5)
    assert len(left) >= 90


def test_a_broken_protocol_is_shown_with_the_fewest_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelRendezvous, "_holds", lambda self, peer, term: not self.finished)
    scenario = next(s for s in map(draw_scenario, range(200)) if len(s.faults) > 4 and simulate(s).violations)

    small = shrink(scenario)

    assert len(small.faults) < len(scenario.faults)
    assert simulate(small).violations
    assert not small.faults or not simulate(msgspec.structs.replace(small, faults=())).violations
