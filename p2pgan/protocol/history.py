"""The invariants that can be read off a recorded history, written once.

The simulation checks them record by record while it runs; the lab, ``p2pgan audit`` and the tests of
real processes check a whole history. Each check gives one line per problem; none if everything holds.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from p2pgan.protocol.ids import PeerId, Span, VersionRecord
from p2pgan.protocol.texts import counted


class Chain:
    """Versions follow on each other from 1 without a gap or a duplicate, each from the one before."""

    def __init__(self, genesis: str | None = None) -> None:
        """``genesis`` is the digest of version 0, if known."""
        self._genesis = genesis
        self._last: VersionRecord | None = None
        self._images = 0
        self._miscounted = False

    def add(self, record: VersionRecord) -> list[str]:
        """The next record of the history; what is wrong with it."""
        problems = []
        before, self._last = self._last, record
        if before is None:
            if record.version != 1:
                problems.append(f"the history begins with version {record.version}")
            if self._genesis is not None and record.parent_digest != self._genesis:
                problems.append("version 1 does not come from version 0")
        elif record.version != before.version + 1:
            problems.append(f"version {record.version} follows version {before.version}")
        elif record.parent_digest != before.digest:
            problems.append(f"version {record.version} has another parent than version {before.version}")
        if before is not None and record.term < before.term:
            problems.append(f"version {record.version} goes back from term {before.term} to {record.term}")
        self._images += sum(c.images for c in record.contributions)
        if record.images != self._images and not self._miscounted:
            # All later versions would say so too.
            self._miscounted = True
            text = (
                f"version {record.version} says {counted(record.images, 'image')}, its history {self._images}"
            )
            problems.append(text)
        return problems


class Tally:
    """Each image of an epoch counts at most once."""

    def __init__(self, images: int) -> None:
        """``images`` are those of the data set."""
        self._images = images
        self._spans: defaultdict[int, list[tuple[int, int, Span]]] = defaultdict(list)
        """epoch -> (start, stop, span), sorted"""

    def add(self, record: VersionRecord) -> list[str]:
        """Count what is in a record; the images that should not be."""
        problems = []
        for contribution in record.contributions:
            for span in contribution.spans:
                problems += self._count(span)
        return problems

    def _count(self, span: Span) -> list[str]:
        if span.stop > self._images:
            return [f"epoch {span.epoch} counts position {span.stop} of {counted(self._images, 'image')}"]
        spans = self._spans[span.epoch]
        index = bisect(spans, (span.start, span.stop))
        spans.insert(index, (span.start, span.stop, span))
        around = [entry[2] for entry in spans[max(0, index - 1) : index + 2]]
        return [
            f"images counted twice: {a} and {b}"
            for a, b in zip(around, around[1:], strict=False)
            if b.start < a.stop
        ]

    def done(self, epoch: int) -> tuple[tuple[int, int], ...]:
        """The positions of an epoch that are counted, as ranges that do not touch."""
        merged: list[tuple[int, int]] = []
        for start, stop, _ in self._spans[epoch]:
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return tuple(merged)

    def lacking(self, complete_epochs: int) -> list[str]:
        """The first ``complete_epochs`` epochs that lack images."""
        problems = []
        for epoch in range(complete_epochs):
            seen = sum(stop - start for start, stop, _ in self._spans[epoch])
            if seen != self._images:
                problems.append(f"epoch {epoch} counts {seen} of {counted(self._images, 'image')}")
        return problems


class Agreement:
    """Peers that apply the same round of the same term to the same weights apply the same bytes."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int, str], tuple[PeerId, str]] = {}

    def add(self, peer: PeerId, record: VersionRecord) -> list[str]:
        """``peer`` has applied ``record``; whether somebody applied something else."""
        key = (record.term, record.version, record.parent_digest)
        first, digest = self._seen.setdefault(key, (peer, record.digest))
        if digest == record.digest:
            return []
        return [f"{peer} and {first} applied different weights as version {record.version}"]


def chain_problems(history: Iterable[VersionRecord], genesis: str | None = None) -> list[str]:
    """What ``Chain`` finds in a whole history."""
    chain = Chain(genesis)
    return [problem for record in history for problem in chain.add(record)]


def count_problems(history: Iterable[VersionRecord], images: int, complete_epochs: int = 0) -> list[str]:
    """What ``Tally`` finds in a whole history whose first ``complete_epochs`` epochs lack nothing."""
    tally = Tally(images)
    problems = [problem for record in history for problem in tally.add(record)]
    return problems + tally.lacking(complete_epochs)


def agreement_problems(applied: Iterable[tuple[PeerId, VersionRecord]]) -> list[str]:
    """What ``Agreement`` finds in everything that was applied."""
    agreement = Agreement()
    return [problem for peer, record in applied for problem in agreement.add(peer, record)]


def journal_problems(
    history: Sequence[VersionRecord], journals: Mapping[str, Iterable[VersionRecord]]
) -> list[str]:
    """What led each peer to the weights it left with is what was committed.

    Who leaves while it is cut off may not know yet that others went on in a later term from an older
    version: its own rounds since then never happened, as if it had been killed.
    """
    return [
        problem
        for peer, applied in sorted(journals.items())
        for problem in _journal_problems(peer, history, applied)
    ]


def _journal_problems(
    peer: str, history: Sequence[VersionRecord], applied: Iterable[VersionRecord]
) -> Iterable[str]:
    committed = {record.version: record for record in history}
    newest_term = history[-1].term if history else 0
    given_up = False
    for record in applied:
        known = committed.get(record.version)
        if known is None:
            if not given_up or record.term >= newest_term:
                yield f"version {record.version}, which {peer} had, was never committed"
        elif known.digest != record.digest:
            given_up = known.term > record.term
            if not given_up:
                yield f"{peer} had other weights than the committed version {record.version}"


def last_lineage(applied: Sequence[VersionRecord]) -> tuple[VersionRecord, ...]:
    """The last stretch of ``applied`` in which each version is the child of the one before.

    Before it the peer may have had weights that a crash of everyone undid: rounds that no commit
    had reached. It then began again from an older version, or fetched a newer one.
    """
    start = len(applied) - 1
    while start > 0 and applied[start].parent_digest == applied[start - 1].digest:
        start -= 1
    return tuple(applied[max(start, 0) :])


def progress_problems(
    history: Iterable[VersionRecord], images: int, done: Mapping[int, tuple[tuple[int, int], ...]]
) -> list[str]:
    """What is marked as done, by epoch, is what the history counts; epochs before these are complete."""
    tally = Tally(images)
    for record in history:
        tally.add(record)
    problems = tally.lacking(min(done, default=0))
    for epoch, ranges in sorted(done.items()):
        if ranges != tally.done(epoch):
            problems.append(
                f"epoch {epoch} is marked as done at {ranges}, its history says {tally.done(epoch)}"
            )
    return problems
