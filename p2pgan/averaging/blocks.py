"""Vectors in pieces that stay in the processor's cache through all that is done with them."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 1 << 18
"""Elements, one MiB: with fewer the calls cost more than the nearness of the data saves. A multiple of all
codecs' blocks."""


def blocks(elements: int, size: int | None = None) -> Iterator[slice]:
    """``[0, elements)`` in slices of ``BLOCK``, or of ``size``; the last may be shorter."""
    step = size or BLOCK
    for start in range(0, elements, step):
        yield slice(start, min(start + step, elements))
