"""Heartbeats: what this peer says of itself, and what its leader's word says about its weights."""

from __future__ import annotations

from p2pgan.protocol.catchup import CatchUp
from p2pgan.protocol.core import Core
from p2pgan.protocol.leadership import Leadership, Role
from p2pgan.protocol.member import Member
from p2pgan.protocol.messages import MAX_NAMED, Heartbeat, Phase


class Heartbeats:
    """To the leader, or as leader to everyone: at every change, and every ``heartbeat_s``."""

    def __init__(self, core: Core, leadership: Leadership, member: Member, catchup: CatchUp) -> None:
        self._core, self._leadership, self._member, self._catchup = core, leadership, member, catchup
        self._lost = False
        """Only a snapshot leads to the leader's weights."""
        self._behind_since: float | None = None
        self._behind_at = (0, "")
        self._next = 0.0
        self._last: Heartbeat | None = None

    def found(self) -> None:
        """This peer has weights to go on from."""
        self._lost = False

    def compare_with_leader(self) -> None:
        """Behind its leader for too long, or on other weights, a peer fetches a snapshot.

        The time goes on when the leader changes: it changes often where each commit hands over the pen.
        """
        core = self._core
        view = core.peers.get(core.leader or "")
        beat = view.beat if view is not None else None
        if beat is None or beat.term != core.term or beat.phase == Phase.CATCHING_UP:
            return
        here = (core.version, core.digest)
        if not core.has_weights:
            self._lost = True
        elif (beat.version, beat.digest) == here:
            self._behind_since, self._lost = None, False
        elif self._behind_since is None or here != self._behind_at:
            self._behind_since, self._behind_at = core.now, here
        elif core.now - self._behind_since > core.config.stuck_s and not self._lost:
            self._lost = True
            text = f"on version {core.version}, the leader on {beat.version}: a snapshot is needed"
            core.note("catch-up", text)

    def beat(self) -> None:
        """Say what has changed, or that nothing has."""
        core = self._core
        beat = self._now()
        if beat == self._last and core.now < self._next:
            return
        self._last = beat
        self._next = core.now + core.config.heartbeat_s
        if self._leadership.is_leader:
            for peer, view in core.peers.items():
                if not view.info.gone or core.heard_within(peer, 4 * core.config.silence_s):
                    core.send(peer, beat)
        elif core.leader is not None:
            core.send(core.leader, beat)

    def _now(self) -> Heartbeat:
        return self._of_the_leader() if self._leadership.is_leader else self._of_a_follower()

    def _of_the_leader(self) -> Heartbeat:
        """What followers go by. How far it is in a round is its own affair: no news for everyone."""
        core = self._core
        gathering = self._leadership.role is Role.GATHERING
        return Heartbeat(
            run=core.run,
            term=core.term,
            version=core.version,
            digest=core.digest,
            phase=Phase.CATCHING_UP if gathering else Phase.IDLE,
            trains=core.trains,
            committed_version=core.committed_version,
            peers_generation=max(0, core.peers_generation),
            lease_held=self._leadership.trusted,
        )

    def _of_a_follower(self) -> Heartbeat:
        core, member = self._core, self._member
        plan, voted, phase = member.standing()
        round_number, attempt = (plan.round, plan.attempt) if plan is not None else (0, 0)
        if self._lost or not core.has_weights or self._catchup.busy:
            phase = Phase.CATCHING_UP
            round_number, attempt = core.fetching or 0, int(self._catchup.busy)
        return Heartbeat(
            run=core.run,
            term=core.term,
            version=core.version,
            digest=core.digest,
            phase=phase,
            round=round_number,
            attempt=attempt,
            candidate=voted.digest if voted else "",
            held=member.held,
            images_per_s=member.images_per_s,
            trains=core.trains,
            committed_version=core.committed_version,
            peers_generation=max(0, core.peers_generation),
            offences=core.offences,
            uplink=core.uplink,
            asked_in_vain=tuple(sorted(member.asked_in_vain()))[:MAX_NAMED],
            losses=member.losses,
            traffic=member.traffic,
        )
