"""How fast the members train, as far as the leader can tell, and how much work that is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from p2pgan.protocol.core import Core
from p2pgan.protocol.ids import PeerId, Span, images_in
from p2pgan.protocol.member import Member as MyPart
from p2pgan.protocol.messages import Member
from p2pgan.protocol.shares import Bounds, most_images, usual_images, work_images

SPEED_MEMORY = 0.5
"""Weight of the newest measurement in a peer's speed."""
LARGEST_SPEED_UP = 2
"""What a peer says of its speed, and nobody has timed, is believed up to so many times what is known."""


class Pace:
    """The speed of each peer, in images per second, from what it says and from the clock."""

    def __init__(self, core: Core, mine: MyPart) -> None:
        self._core, self._mine = core, mine
        self._speeds: dict[PeerId, float] = {}
        self._previous: dict[PeerId, int] = {}
        """Images of each peer's last work."""
        self._began: dict[PeerId, float] = {}
        """When each peer began with the spans it trains, as far as that is known."""

    def begin(self) -> None:
        """A term begins: the ledger tells what each peer's last work was."""
        self._previous = {c.peer: c.images for r in self._core.ledger for c in r.contributions}
        self._began = {}

    def speed(self, peer: PeerId) -> float:
        """As measured over the last rounds; 0 if unknown."""
        return self._speeds.get(peer, 0.0)

    def believed(self, peer: PeerId) -> float:
        """As measured; of whom this leader has not timed yet, what the peer says; 0 if it has not trained."""
        return self.speed(peer) or self._told(peer)

    def expected_s(self, contributors: Collection[Member]) -> float:
        """How long the training of a round should take: as set, or as the slowest one is known to need.

        0 if nobody's speed is known.
        """
        return self._slowest_s(contributors, self.speed)

    def believed_s(self, contributors: Collection[Member]) -> float:
        """The same, by what peers say whom this leader has not timed yet: nobody is cut off by it."""
        return self._slowest_s(contributors, self.believed)

    def _slowest_s(self, contributors: Collection[Member], speed: Callable[[PeerId], float]) -> float:
        config = self._core.config
        if config.local_steps is None:
            return config.round_s
        known = [m for m in contributors if speed(m.peer) > 0]
        return max((images_in(m.spans) / speed(m.peer) for m in known), default=0.0)

    # -- how much work -----------------------------------------------------------------------

    def bounds(self, trainers: Iterable[PeerId]) -> Bounds:
        """Of the images that one of ``trainers`` gets."""
        previous = [self._previous.get(peer, 0) for peer in trainers]
        return Bounds(usual_images(previous), most_images(previous))

    def images_for(self, peer: PeerId, bounds: Bounds) -> int:
        """How much work a peer gets: what takes it as long as a round, or a fixed number of steps."""
        config = self._core.config
        if config.local_steps is not None:
            return config.local_steps * config.microbatch
        speed, previous = self.believed(peer), self._previous.get(peer, 0)
        return work_images(speed, config.round_s, config.microbatch, previous, bounds)

    # -- when it was done --------------------------------------------------------------------

    def gets(self, peer: PeerId, spans: tuple[Span, ...]) -> None:
        """``peer`` is given work."""
        self._previous[peer] = images_in(spans)

    def begins(self, peer: PeerId) -> None:
        """``peer`` begins with its work now."""
        self._began[peer] = self._core.now

    def trained(self, member: Member, planned_at: float) -> None:
        """``member`` is done with its spans, planned then: it is as fast as it says, if time bears that out.

        What it says is the smaller figure where word of several trainings comes at once, as after a sleep.
        """
        now, known, told = self._core.now, self.speed(member.peer), self._told(member.peer)
        began = self._began.pop(member.peer, None)
        # Who was done before the plan came has waited since, and nobody knows for how long.
        if began is not None and 2 * (now - planned_at) >= now - began:
            seen = images_in(member.spans) / max(1e-3, now - began)
            self._measured(member.peer, min(seen, told) if told > 0 else seen)
        elif known > 0 and told > 0:
            self._measured(member.peer, min(LARGEST_SPEED_UP * known, told))
        if member.ahead:
            self._began[member.peer] = now

    def late(self, member: Member) -> None:
        """Who is late is no faster than this: it is given less, or more time, in the next round."""
        began = self._began.get(member.peer)
        if began is not None:
            self._measured(member.peer, images_in(member.spans) / max(1e-3, self._core.now - began))

    def _measured(self, peer: PeerId, speed: float) -> None:
        known = self._speeds.get(peer, speed)
        self._speeds[peer] = known + SPEED_MEMORY * (speed - known)

    def _told(self, peer: PeerId) -> float:
        """What a peer says of itself; 0 if it has not trained yet."""
        if peer == self._core.me:
            return self._mine.images_per_s
        view = self._core.peers.get(peer)
        return view.beat.images_per_s if view is not None and view.beat is not None else 0.0
