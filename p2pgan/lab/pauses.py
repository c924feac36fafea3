"""How long a run stood still around its faults, by what the peers wrote down.

The next commit after a fault may be of a round that was over before it. What a fault costs those who are
left shows in the time between two versions: it is longer while they wait for whom they lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from p2pgan.journal import VersionEntry
from p2pgan.protocol.ids import VersionRecord


def version_times(history: Iterable[VersionRecord], applied: Iterable[VersionEntry]) -> dict[int, float]:
    """When each committed version first was somebody's weights, in seconds since 1970.

    ``applied`` is from peers whose clocks agree.
    """
    committed = {(record.version, record.digest) for record in history}
    times: dict[int, float] = {}
    for entry in applied:
        version = entry.record.version
        if (version, entry.record.digest) in committed:
            times[version] = min(entry.at, times.get(version, entry.at))
    return dict(sorted(times.items()))


def longest_pauses(times: Mapping[int, float], versions: Sequence[int]) -> list[float | None]:
    """The longest time between two versions around each fault; None where no version followed.

    ``versions`` are those that were committed when the faults happened, in order. A fault's time goes from
    there to where a later fault finds the run, which is back to normal by then.
    """
    gaps = {before: times[after] - times[before] for before, after in pairwise(times)}
    pauses = []
    for index, version in enumerate(versions):
        until = next((later for later in versions[index:] if later > version), None)
        around = [gap for v, gap in gaps.items() if version <= v and (until is None or v < until)]
        pauses.append(round(max(around), 1) if around else None)
    return pauses


def usual_gap(times: Mapping[int, float]) -> float | None:
    """The median time between two versions; None if there are no two."""
    gaps = [after - before for before, after in pairwise(times.values())]
    return round(median(gaps), 1) if gaps else None
