"""What must hold of a run's history, whoever crashed: functions over recorded versions alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from p2pgan.protocol.ids import Span, VersionRecord


def audit(
    history: Sequence[VersionRecord], journals: Mapping[str, Iterable[VersionRecord]], image_count: int
) -> list[str]:
    """All violations, one line each; none if the run is sound.

    ``history`` are the committed versions from the database, ``journals`` the versions that led each
    peer to the weights it left with, ``image_count`` the images of the data set.
    """
    return [
        *_broken_chain(history),
        *_miscounted_images(history),
        *_twice_counted(history, image_count),
        *_disagreements(history, journals),
    ]


def _broken_chain(history: Sequence[VersionRecord]) -> Iterable[str]:
    if history and history[0].version != 1:
        yield f"the history begins with version {history[0].version}"
    for before, after in pairwise(history):
        if after.version != before.version + 1:
            yield f"version {after.version} follows version {before.version}"
        elif after.parent_digest != before.digest:
            yield f"version {after.version} has another parent than version {before.version}"
        if after.term < before.term:
            yield f"version {after.version} is of term {after.term}, older than its parent's {before.term}"


def _miscounted_images(history: Sequence[VersionRecord]) -> Iterable[str]:
    total = 0
    for record in history:
        total += sum(contribution.images for contribution in record.contributions)
        if record.images != total:
            yield f"version {record.version} says {record.images} images, its history makes {total}"
            return


def _twice_counted(history: Sequence[VersionRecord], image_count: int) -> Iterable[str]:
    by_epoch: defaultdict[int, list[Span]] = defaultdict(list)
    for record in history:
        for contribution in record.contributions:
            for span in contribution.spans:
                by_epoch[span.epoch].append(span)
    for epoch, spans in sorted(by_epoch.items()):
        spans.sort(key=lambda span: span.start)
        if spans[-1].stop > image_count:
            yield f"epoch {epoch} counts position {spans[-1].stop} of {image_count} images"
        for before, after in pairwise(spans):
            if after.start < before.stop:
                yield f"images counted twice: {before} and {after}"


def _disagreements(
    history: Sequence[VersionRecord], journals: Mapping[str, Iterable[VersionRecord]]
) -> Iterable[str]:
    committed = {record.version: record.digest for record in history}
    for peer, applied in sorted(journals.items()):
        for record in applied:
            if record.version not in committed:
                yield f"version {record.version}, which {peer} had, was never committed"
            elif committed[record.version] != record.digest:
                yield f"{peer} had other weights than the committed ones at version {record.version}"
