"""Who reduces which part of the vector: pure arithmetic."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from statistics import median_low

from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import MAX_MEMBERS, Shard

SHARD_ALIGNMENT = 1024
"""Elements; keeps every shard's bytes aligned for any codec."""
LARGEST_SHARD = 1 << 19
"""Elements: while one shard is reduced the next arrives, and what an owner works on stays in its cache."""
MOST_OF_IT = 0.5
"""No owner reduces more: what it says of its line is not checked, and it must not rule alone."""
BISECTIONS = 60
"""The time is known to a float's precision then."""


def equal_shares(owners: Collection[PeerId]) -> dict[PeerId, float]:
    """The same share of the vector for each owner."""
    return dict.fromkeys(owners, 1 / len(owners))


def shares_by_uplink(
    uplinks: Mapping[PeerId, float], contributors: Collection[PeerId], members: int
) -> dict[PeerId, float]:
    """Shares of the vector, which add up to one, so that the owner who sends longest is done soonest.

    ``uplinks``: bytes per second of each owner; 0 if unknown, then the median of the others stands in. An
    owner of share s sends s times the vector to each of the others, and the rest of its own contribution to
    other owners: c (1 - s) + s (members - 1) vectors, with c 1 if it contributes, else 0. The least time in
    which shares that add up to one can be sent solves the linear programme; more time, more of each share.
    """
    known = [uplink for uplink in uplinks.values() if uplink > 0]
    middle = median_low(known) if known else 1.0
    speeds = {peer: uplink or middle for peer, uplink in uplinks.items()}
    parts = {peer: int(peer in contributors) for peer in uplinks}
    if len(uplinks) < 3:
        return equal_shares(uplinks)  # of two who contribute each sends one vector, whatever the shares

    def within(seconds: float) -> dict[PeerId, float]:
        return {
            peer: min(MOST_OF_IT, max(0.0, (seconds * speeds[peer] - part) / (members - 1 - part)))
            for peer, part in parts.items()
        }

    least, most = 0.0, members / min(speeds.values())
    for _ in range(BISECTIONS):
        tried = (least + most) / 2
        least, most = (tried, most) if sum(within(tried).values()) < 1 else (least, tried)
    shares = within(most)
    total = sum(shares.values())
    return {peer: share / total for peer, share in shares.items()}


def cut_shards(size: int, shares: Mapping[PeerId, float], border: int = 0) -> tuple[Shard, ...]:
    """Slices of a vector of ``size`` elements: for each owner its share, cut into several that take turns.

    ``shares`` add up to one, of what is before the ``border`` and of what is after it; no shard reaches over
    it. An owner with less than half a block of ``SHARD_ALIGNMENT`` may own none.
    """
    parts = [(start, stop) for start, stop in ((0, border), (border, size)) if stop > start]
    most = MAX_MEMBERS // len(parts)
    return tuple(shard for start, stop in parts for shard in _cut(start, stop, shares, most))


def _cut(begin: int, end: int, shares: Mapping[PeerId, float], most: int) -> Iterator[Shard]:
    """At most so many shards of the elements ``[begin, end)``."""
    blocks = -(-(end - begin) // SHARD_ALIGNMENT)
    ends, done = {}, 0.0
    for peer, share in shares.items():
        done += share
        ends[peer] = round(done * blocks)
    ends[peer] = blocks
    owned = {
        peer: after - before for (peer, after), before in zip(ends.items(), (0, *ends.values()), strict=False)
    }
    owners = [peer for peer, count in owned.items() if count]
    longest = max(owned.values()) * SHARD_ALIGNMENT
    turns = max(1, min(-(-longest // LARGEST_SHARD), most // len(owners)))
    start = begin
    for turn in range(turns):
        for peer in owners:
            count = (turn + 1) * owned[peer] // turns - turn * owned[peer] // turns
            stop = min(end, start + count * SHARD_ALIGNMENT)
            if stop > start:
                yield Shard(peer, start, stop)
            start = stop
