"""Members who do not reach each other: they own no shards, since owners exchange with everyone.

Two peers behind firewalls may both be reached by the leader and not by each other. As owners each would
wait for the other's slices, in every round until its exchange has taken too long. If neither owns a
shard, both contribute all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from p2pgan.protocol.core import Core
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import MAX_NAMED

FIRST_REST_S = 60.0
"""So long such a member owns nothing, before it is tried again."""
LONGEST_REST_S = 1800.0


@dataclass(frozen=True)
class _Rest:
    until: float
    seconds: float


class Apart:
    """What this peer has seen of it while it led. It outlives a term: it is no verdict on anybody."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rests: dict[PeerId, _Rest] = {}

    def seen(self, told: Mapping[PeerId, Collection[PeerId]]) -> None:
        """Each of these peers asked those in vain for what they should have sent it.

        Who tells so rests itself, and so do those it names, unless they are half of the others or more, or a
        full list: then it is cut off, and not they. While it rests its word counts for nothing. The leader,
        which owns in any case, is named for nothing.
        """
        core = self._core
        most = min(len(core.alive()) // 2, MAX_NAMED - 1)
        heard = {p: set(names) - {core.me} for p, names in told.items() if not self.rests(p)}
        named = {p for names in heard.values() if len(names) <= most for p in names}
        resting = {p for p, names in heard.items() if names} | named
        for peer in sorted(p for p in resting & core.peers.keys() if p != core.me and not self.rests(p)):
            seconds = self._next_rest_s(peer)
            self._rests[peer] = _Rest(core.now + seconds, seconds)
            name = core.name(peer)
            text = f"{name} reduces none for {seconds:g} s: what it and others send each other is lost"
            core.note("shards", text)

    def _next_rest_s(self, peer: PeerId) -> float:
        """Twice the last one, unless that was over for as long again."""
        last = self._rests.get(peer)
        if last is None or self._core.now > last.until + last.seconds:
            return FIRST_REST_S
        return min(2 * last.seconds, LONGEST_REST_S)

    def rests(self, peer: PeerId) -> bool:
        """Whether it owns no shard now."""
        rest = self._rests.get(peer)
        return rest is not None and self._core.now < rest.until
