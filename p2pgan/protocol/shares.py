"""How work and succession are shared out: pure arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf
from statistics import median, median_high, median_low
from typing import NamedTuple

from p2pgan.protocol.ids import PeerId

FIRST_MICROBATCHES = 2
"""Work of a peer whose speed nobody knows yet."""
LARGEST_GROWTH = 4
"""A peer's work grows at most so many times from one round to the next, beyond what is usual."""
MOST_MEDIANS = 100
"""A peer's work is at most so many times the median of the group's: a fast card among slow laptops."""
SMALLEST_GROUP = 3
"""Among two nobody can tell who lies about its speed."""


class Bounds(NamedTuple):
    """Of one peer's images in a round, by what those who train had last."""

    usual: int = 0
    """So many it may have at once: it then weighs no more than others do."""
    most: float = inf
    """More it never gets."""


def work_images(images_per_s: float, round_s: float, microbatch: int, previous: int, bounds: Bounds) -> int:
    """Images for one peer so that it trains about ``round_s`` seconds, in whole microbatches.

    Its work grows step by step, as a first figure of its speed may be far off.
    """
    if images_per_s <= 0:
        return FIRST_MICROBATCHES * microbatch
    bound = max(previous * LARGEST_GROWTH, FIRST_MICROBATCHES * microbatch, bounds.usual)
    wanted = min(images_per_s * round_s, bound, bounds.most)
    return max(1, round(wanted / microbatch)) * microbatch


def most_images(previous: Iterable[int]) -> float:
    """What one peer may get at most, by the work that those who train had last (0 for none yet).

    A peer that trains nothing and says at once that it is done looks faster each time. Without a bound it
    would soon have all of the weight, and use up all epochs.
    """
    known = [images for images in previous if images]
    return MOST_MEDIANS * median_low(known) if len(known) >= SMALLEST_GROUP else inf


def usual_images(previous: Iterable[int]) -> int:
    """The median of what those who train had last (0 for none yet), of two the larger; 0 without any."""
    known = [images for images in previous if images]
    return median_high(known) if known else 0


def by_rendezvous_hash(run: str, term: int, peers: Iterable[PeerId]) -> list[PeerId]:
    """Peers in the order in which they should hold the pen of ``term`` (highest random weight).

    Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
    """

    def score(peer: PeerId) -> bytes:
        return hashlib.blake2b(f"{run}:{term}:{peer}".encode(), digest_size=8).digest()

    return sorted(peers, key=score, reverse=True)


@lru_cache(maxsize=4)
def deal_parts(run: str, parts: int, peers: frozenset[PeerId]) -> Mapping[PeerId, frozenset[int]]:
    """Which parts of an epoch are whose: each has one peer, and the peers have as many, give or take one.

    Every leader deals alike, and few parts change hands when a peer comes or goes.
    """
    dealt: dict[PeerId, set[int]] = {peer: set() for peer in peers}
    for part in range(parts if peers else 0):
        fewest, more = divmod(parts, len(peers))
        more -= sum(len(own) > fewest for own in dealt.values())
        most = fewest + 1 if more else fewest
        dealt[next(p for p in by_rendezvous_hash(run, part, peers) if len(dealt[p]) < most)].add(part)
    return {peer: frozenset(own) for peer, own in dealt.items()}


def straggler_deadline(durations: Sequence[float], contributors: int, round_s: float) -> float | None:
    """Seconds after the plan at which a contributor counts as a straggler; None if too few are done.

    Median plus four median absolute deviations of those done, once half of the contributors are;
    at least half as long again as the median and as a round should take, so that peers are not cut
    for noise, nor for the short first work of a newcomer.
    """
    if not durations or len(durations) * 2 < contributors:
        return None
    middle = median(durations)
    spread = median(abs(d - middle) for d in durations)
    return max(middle + 4 * spread, 1.5 * middle, 1.5 * round_s) + 1.0
