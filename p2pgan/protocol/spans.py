"""Spans that nobody holds, and which of them is handed out next."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Sequence

from p2pgan.protocol.ids import Span


class OpenSpans:
    """The open spans of some epochs. Each lies within one unit, and within one part of its epoch.

    Parts are ranges of every epoch that should go to different peers. They decide who gets a span and
    when, never whether: what is left of an epoch is handed out before the next one is begun.
    """

    def __init__(self, images: int, unit_images: int, parts: Sequence[int] = ()) -> None:
        """``parts``: where each one ends, ascending, the last at ``images``; none if all is alike."""
        self._images, self._unit_images, self._parts = images, unit_images, parts
        self._spans: list[Span] = []
        """In their order, so that the oldest epoch is at the front."""

    def __bool__(self) -> bool:
        return bool(self._spans)

    def clear(self) -> None:
        self._spans = []

    def open_epoch(self, epoch: int, gaps: Iterable[tuple[int, int]] | None = None) -> None:
        """``gaps`` of an epoch newer than all others here, or all of it, cut into units and parts."""
        for start, stop in [(0, self._images)] if gaps is None else gaps:
            position = start
            while position < stop:
                unit = position // self._unit_images
                end = min(stop, (unit + 1) * self._unit_images, self._part_end(position))
                self._spans.append(Span(epoch, unit, position, end))
                position = end

    def pop(self, own: Collection[int] = ()) -> Span:
        """The next span, for a peer whose parts are ``own``: of the oldest epoch, and of these if it can be.

        Of several parts the one of which most is left, so that they are used up together.
        """
        if not self._parts:
            return self._spans.pop(0)
        left: dict[int, int] = {}
        first: dict[int, int] = {}
        for index, span in enumerate(self._spans):
            if span.epoch != self._spans[0].epoch:
                break
            part = bisect_right(self._parts, span.start)
            left[part] = left.get(part, 0) + span.images
            first.setdefault(part, index)
        mine = [part for part in left if part in own]
        return self._spans.pop(first[max(mine or left, key=lambda part: (left[part], -part))])

    def add(self, span: Span) -> None:
        """What was popped, or a piece of it, is open again."""
        insort(self._spans, span)

    def has(self, span: Span) -> bool:
        """Whether all of it is open."""
        return self._covering(span) is not None

    def remove(self, span: Span) -> None:
        """``span``, which is open, is so no more; what is around it stays."""
        index = self._covering(span)
        assert index is not None
        whole = self._spans.pop(index)
        if whole.start < span.start:
            self.add(Span(whole.epoch, whole.unit, whole.start, span.start))
        if span.stop < whole.stop:
            self.add(Span(whole.epoch, whole.unit, span.stop, whole.stop))

    def _covering(self, span: Span) -> int | None:
        for index, candidate in enumerate(self._spans):
            same_unit = candidate.epoch == span.epoch and candidate.unit == span.unit
            if same_unit and candidate.start <= span.start and span.stop <= candidate.stop:
                return index
        return None

    def _part_end(self, position: int) -> int:
        return self._parts[bisect_right(self._parts, position)] if self._parts else self._images
