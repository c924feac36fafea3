"""Error feedback: what a lossy codec loses is kept and added to what is encoded next.

Seide et al., "1-bit stochastic gradient descent", 2014; Karimireddy et al., "Error feedback fixes SignSGD",
2019. As long as the same part of the vector is encoded round after round, the sum of what was sent is the sum
of what should have been, up to one residual. Where it is not, that one residual is lost, rather than
added much later to what it has nothing to do with any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from p2pgan.averaging.codec import Codec
from p2pgan.averaging.codec.raw import Allocate, fresh_memory

Key = tuple[int, ...]
"""The number of the round first, the attempt last."""


@dataclass
class ErrorFeedback:
    """The residual of one encoder over the whole vector, and what it would become."""

    _residual: dict[int, Tensor] = field(default_factory=dict)
    """Of the slices that were encoded last, by the first element of each."""
    _pending: dict[Key, dict[int, Tensor]] = field(default_factory=dict)
    """By what was encoded: the residual after it, by its first element."""

    def encode(
        self,
        codec: Codec,
        key: Key,
        start: int,
        vector: Tensor,
        exact: Tensor | None,
        allocate: Allocate = fresh_memory,
    ) -> memoryview:
        """Encode the elements from ``start`` on, with the residual added.

        The residual itself stays until :meth:`settle` is called with the ``key``: the same encoded again,
        because the round was amended or a slice asked for again, gives the same bytes.
        """
        if not codec.keeps_residual:
            return codec.encode(vector, exact, allocate)
        lost = torch.empty(len(vector))
        payload = codec.encode(vector, exact, allocate, self._residual_of(start, start + len(vector)), lost)
        self._pending.setdefault(key, {})[start] = lost
        return payload

    def _residual_of(self, start: int, stop: int) -> Tensor | None:
        """What of the elements ``[start, stop)`` was lost; None if nothing was."""
        known = self._residual.get(start)
        if known is not None and len(known) == stop - start:
            return known
        inside = {
            first: part
            for first, part in self._residual.items()
            if first < stop and start < first + len(part)
        }
        if not inside:
            return None
        together = torch.zeros(stop - start)  # slices are cut otherwise than they were
        for first, part in inside.items():
            begin, end = max(first, start), min(first + len(part), stop)
            together[begin - start : end - start] = part[begin - first : end - first]
        return together

    def settle(self, key: Key) -> None:
        """What was encoded under ``key`` has counted: its losses are the residual now, and all of it.

        What an earlier round lost elsewhere is dropped: others encode there now, or another codec did.
        """
        self._residual = self._pending.pop(key, {})

    def settle_last(self, key: Key) -> None:
        """As :meth:`settle`, for the last of what was encoded in the same round up to ``key``.

        A round's contribution is encoded at the first attempt it stands for, which is this one or earlier.
        """
        self.settle(max((k for k in self._pending if k[:-1] == key[:-1] and k <= key), default=key))

    def clear(self) -> None:
        """As if nothing had ever been encoded."""
        self._residual = {}
        self._pending.clear()

    def forget(self, below: int) -> None:
        """Drop, as if it had never been encoded, what has a key that begins with less than ``below``."""
        self._pending = {key: lost for key, lost in self._pending.items() if key[0] >= below}
