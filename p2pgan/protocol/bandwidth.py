"""What a leader makes of the members' bandwidth: the round's codec, and who reduces how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from p2pgan.protocol.codecs import BYTES_PER_ELEMENT, CodecName, choose_codec, sends_long
from p2pgan.protocol.core import Core
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import Plan, Shard
from p2pgan.protocol.shards import cut_shards, equal_shares, shares_by_uplink

NOISE = 1.5
"""An uplink or a time measured anew counts as changed from this factor on, so that shards stay."""
EQUAL = "equal, all send their part in a tenth of a round, or over fast lines"


class Bandwidth:
    """Knows how fast each member can send, as far as heartbeats tell."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._uplinks: dict[PeerId, float] = {}
        """Bytes per second, as the last plan took them."""
        self._round_s = core.config.round_s
        """How long the training of a round takes, as the last plan took it."""
        self._last_codec = ""
        self._last_shares = EQUAL

    def rounds_take(self, seconds: float) -> None:
        """The training of the round that is planned takes so long; 0 if nobody knows."""
        if seconds > 0 and not self._round_s / NOISE < seconds < self._round_s * NOISE:
            self._round_s = seconds

    def codec(self, members: Iterable[PeerId]) -> CodecName:
        """The run's codec, or what its members' bandwidth asks for."""
        config = self._core.config
        if config.codec != "auto":
            return config.codec
        chosen = choose_codec(map(self._uplink, members), config.vector_size, self._round_s)
        if chosen.codec != self._last_codec:
            self._last_codec = chosen.codec
            self._core.note("codec", chosen.reason)
        return chosen.codec

    def shards(
        self, owners: Sequence[PeerId], contributors: Collection[PeerId], members: int
    ) -> tuple[Shard, ...]:
        """Equal ones, so that all reduce as much; by uplink where sending takes long."""
        config = self._core.config
        uplinks = {peer: self._uplink(peer) for peer in owners}
        if sends_long(uplinks.values(), config.vector_size, self._round_s):
            shares = shares_by_uplink(uplinks, contributors, members)
            said = f"by uplink, {self._range(shares)}"
        else:
            shares, said = equal_shares(owners), EQUAL
        if said != self._last_shares:
            self._last_shares = said
            self._core.note("shards", said)
        return cut_shards(config.vector_size, shares, config.vector_border)

    def sends_s(self, plan: Plan) -> float:
        """How long the member sends that sends longest, as far as is known; 0 if nothing is."""
        own: Counter[PeerId] = Counter()
        for shard in plan.shards:
            own[shard.owner] += shard.stop - shard.start
        longest = 0.0
        for member in plan.members:
            reduced, uplink = own[member.peer], self._uplink(member.peer)
            if uplink > 0:
                others = self._core.config.vector_size - reduced if member.contributes else 0
                elements = reduced * (len(plan.members) - 1) + others
                longest = max(longest, elements * BYTES_PER_ELEMENT[plan.codec] / uplink)
        return longest

    def _range(self, shares: Mapping[PeerId, float]) -> str:
        least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        name = self._core.name
        return (
            f"from {shares[least]:.0%} of the vector for {name(least)} to {shares[most]:.0%} for {name(most)}"
        )

    def _uplink(self, peer: PeerId) -> float:
        """Bytes per second; 0 if unknown."""
        core = self._core
        view = core.peers.get(peer)
        beat = view.beat if view is not None else None
        told = core.uplink if peer == core.me else beat.uplink if beat is not None else 0.0
        known = self._uplinks.get(peer, 0.0)
        if not known / NOISE < told < known * NOISE:
            self._uplinks[peer] = told
        return self._uplinks[peer]
