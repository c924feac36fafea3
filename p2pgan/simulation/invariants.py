"""The invariants that can be read off a recorded history, written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from p2pgan.protocol.ids import PeerId, Span, VersionRecord


def chain_problems(history: Sequence[VersionRecord], genesis: str) -> list[str]:
    """Versions follow on each other without a gap or a duplicate, each from the one before."""
    problems = []
    version, digest, images = 0, genesis, 0
    for record in history:
        if record.version != version + 1:
            problems.append(f"version {record.version} after version {version}")
        if record.parent_digest != digest:
            problems.append(f"version {record.version} does not name version {version} as its parent")
        images += sum(c.images for c in record.contributions)
        if record.images != images:
            problems.append(f"version {record.version} counts {record.images} images, its spans {images}")
        version, digest = record.version, record.digest
    return problems


def count_problems(history: Iterable[VersionRecord], images: int, complete_epochs: int) -> list[str]:
    """No image of an epoch is counted twice, and finished epochs lack none."""
    spans: dict[int, list[Span]] = {}
    for record in history:
        for contribution in record.contributions:
            for span in contribution.spans:
                spans.setdefault(span.epoch, []).append(span)
    problems = []
    for covered in spans.values():
        covered.sort()
        for a, b in zip(covered, covered[1:], strict=False):
            if a.overlaps(b):
                problems.append(f"{a} and {b} count the same images")
    for epoch in range(complete_epochs):
        counted = sum(s.images for s in spans.get(epoch, []))
        if counted != images:
            problems.append(f"epoch {epoch} counts {counted} of {images} images")
    return problems


def agreement_problems(applied: Iterable[tuple[PeerId, VersionRecord]]) -> list[str]:
    """Peers that apply the same round of the same term apply the same bytes."""
    seen: dict[tuple[int, int, str], tuple[PeerId, str]] = {}
    problems = []
    for peer, record in applied:
        key = (record.term, record.version, record.parent_digest)
        first, digest = seen.setdefault(key, (peer, record.digest))
        if digest != record.digest:
            problems.append(f"{peer} and {first} applied different weights as version {record.version}")
    return problems
