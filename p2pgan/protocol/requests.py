"""Batches that others asked a peer to draw: whose turn it is, and what is too much.

A peer draws one batch at a time, in turn for all who ask, so that who asks for much only waits longer.
What one of them, and all together, can have waiting is bounded.
"""

from __future__ import annotations

from collections import OrderedDict

from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import DrawRequest

MOST_WAITING = 2
"""Batches of one who asks; another one is refused."""
MOST_WAITING_IN_ALL = 16


class Requests:
    """What waits, by who asked for it."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[PeerId, list[DrawRequest]] = OrderedDict()

    def add(self, sender: PeerId, request: DrawRequest) -> str | None:
        """Take a request in; the reason if there is no room for it. One that waits already waits once."""
        mine = self._waiting.get(sender, [])
        if request in mine:
            return None
        if len(mine) >= MOST_WAITING:
            return f"{MOST_WAITING} batches of yours wait already"
        if sum(map(len, self._waiting.values())) >= MOST_WAITING_IN_ALL:
            return f"{MOST_WAITING_IN_ALL} batches of others wait already"
        self._waiting.setdefault(sender, []).append(request)
        return None

    def next(self) -> tuple[PeerId, DrawRequest] | None:
        """The request whose turn it is, which does not wait any more; who asked is last in turn then."""
        for sender, mine in self._waiting.items():
            request = mine.pop(0)
            if mine:
                self._waiting.move_to_end(sender)
            else:
                del self._waiting[sender]
            return sender, request
        return None
