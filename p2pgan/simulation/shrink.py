"""From a failing scenario to the shortest list of faults that still fails: delta debugging.

Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from p2pgan.simulation.run import simulate
from p2pgan.simulation.scenario import Scenario

MOST_TRIES = 300

Item = TypeVar("Item")


def shrink(scenario: Scenario) -> Scenario:
    """``scenario``, which fails, with as few faults as still make it fail (in whatever way)."""

    def fails(faults: Sequence[object]) -> bool:
        return bool(simulate(msgspec.structs.replace(scenario, faults=tuple(faults))).violations)

    return msgspec.structs.replace(scenario, faults=tuple(shortest(scenario.faults, fails, MOST_TRIES)))


def shortest(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], most_tries: int) -> list[Item]:
    """A sublist that fails and of which, if ``most_tries`` suffice, no single item can be left out."""
    kept = list(items)
    if not kept or fails([]):
        return []
    tries, parts = 1, 2
    while len(kept) > 1 and tries < most_tries:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            tries += 1
            if fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(kept))
    return kept
