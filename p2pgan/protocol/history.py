"""The invariants that can be read off a recorded history, written once.

The simulation, the lab and the tests of real processes check them with these functions. Each gives
one line per problem; none if everything holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from p2pgan.protocol.ids import PeerId, Span, VersionRecord


def chain_problems(history: Sequence[VersionRecord], genesis: str | None = None) -> list[str]:
    """Versions follow on each other from 1 without a gap or a duplicate, each from the one before.

    ``genesis`` is the digest of version 0, if known.
    """
    problems = []
    if history and history[0].version != 1:
        problems.append(f"the history begins with version {history[0].version}")
    if history and genesis is not None and history[0].parent_digest != genesis:
        problems.append("version 1 does not come from version 0")
    for before, after in pairwise(history):
        if after.version != before.version + 1:
            problems.append(f"version {after.version} follows version {before.version}")
        elif after.parent_digest != before.digest:
            problems.append(f"version {after.version} has another parent than version {before.version}")
    total = 0
    for record in history:
        total += sum(c.images for c in record.contributions)
        if record.images != total:
            problems.append(f"version {record.version} says {record.images} images, its history {total}")
            break
    return problems


def count_problems(history: Iterable[VersionRecord], images: int, complete_epochs: int = 0) -> list[str]:
    """No image of an epoch counts twice, and the first ``complete_epochs`` epochs lack none.

    ``images`` are those of the data set.
    """
    spans: defaultdict[int, list[Span]] = defaultdict(list)
    for record in history:
        for contribution in record.contributions:
            for span in contribution.spans:
                spans[span.epoch].append(span)
    problems = []
    for epoch, covered in sorted(spans.items()):
        covered.sort(key=lambda span: span.start)
        if covered[-1].stop > images:
            problems.append(f"epoch {epoch} counts position {covered[-1].stop} of {images} images")
        problems += [f"images counted twice: {a} and {b}" for a, b in pairwise(covered) if b.start < a.stop]
    for epoch in range(complete_epochs):
        counted = sum(span.images for span in spans[epoch])
        if counted != images:
            problems.append(f"epoch {epoch} counts {counted} of {images} images")
    return problems


def agreement_problems(applied: Iterable[tuple[PeerId, VersionRecord]]) -> list[str]:
    """Peers that apply the same round of the same term to the same weights apply the same bytes."""
    seen: dict[tuple[int, int, str], tuple[PeerId, str]] = {}
    problems = []
    for peer, record in applied:
        key = (record.term, record.version, record.parent_digest)
        first, digest = seen.setdefault(key, (peer, record.digest))
        if digest != record.digest:
            problems.append(f"{peer} and {first} applied different weights as version {record.version}")
    return problems


def journal_problems(
    history: Sequence[VersionRecord], journals: Mapping[str, Iterable[VersionRecord]]
) -> list[str]:
    """What led each peer to the weights it left with is what was committed."""
    committed = {record.version: record.digest for record in history}
    problems = []
    for peer, applied in sorted(journals.items()):
        for record in applied:
            if record.version not in committed:
                problems.append(f"version {record.version}, which {peer} had, was never committed")
            elif committed[record.version] != record.digest:
                problems.append(f"{peer} had other weights than the committed version {record.version}")
    return problems
