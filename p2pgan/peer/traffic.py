"""What a round takes on the wire: from vote to vote, so that every byte counts in one version only."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.protocol.metrics import Traffic


class RoundTraffic:
    """``total`` says what came and went so far. Used by the peer's loop alone.

    The last results may still be on their way to others when this peer votes: they count in the next round.
    """

    def __init__(self, total: Callable[[], Traffic]) -> None:
        self._total = total
        self._counted = self._seen = Traffic(0, 0)

    def voted(self) -> Traffic:
        """Since the vote that became a version; a round that is tried again counts with all its attempts."""
        self._seen = self._total()
        return self._seen.since(self._counted)

    def applied(self) -> None:
        """The last vote is a version."""
        self._counted = self._seen

    def installed(self) -> None:
        """The weights come from a snapshot: what that took is of no round."""
        self._counted = self._seen = self._total()
