"""Mixing, for ``sync: gossip``: between two rounds the members of small groups move towards their mean.

A contributor's *deviation* is how far its weights are from the version. Every ``mix_s`` seconds it sends
its deviation to the others of its group, and moves towards the group's mean, each member weighted by
push-sum (Kempe, Dobra and Gehrke, "Gossip-based computation of aggregate information", 2003). The groups
of a step are the rows of a grid of all contributors, those of the next its columns: after both, everyone
has been mixed with everyone (as in Ryabinin et al., "Moshpit SGD", 2021). While no leader is heard, two
peers at a time mix.

What moves this way counts for nothing: a contribution is what its peer learned itself. Rounds, and all
that is promised of them, are those of ``deltas``; mixing only keeps peers close between them, as in Chen
et al., "Accelerating gossip SGD with periodic global averaging", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import Mix, ShareDeviation
from p2pgan.protocol.events import DeviationArrived
from p2pgan.protocol.ids import PeerId, images_in
from p2pgan.protocol.leadership import Leadership
from p2pgan.protocol.member import Member
from p2pgan.protocol.messages import Plan
from p2pgan.protocol.shares import by_rendezvous_hash

MOST_STEPS = 16
"""By then the push-sum weights of any grid are as good as equal."""


class Mixing:
    """Says when this peer mixes, and with whom."""

    def __init__(self, core: Core, leadership: Leadership, member: Member) -> None:
        self._core, self._leadership, self._member = core, leadership, member
        self._digest = ""
        """Of the version that the steps are counted from."""
        self._step = 0
        self._told: frozenset[PeerId] = frozenset()
        """Who has this step's deviation."""

    def tick(self) -> None:
        """Begin the next step when it is time."""
        core = self._core
        if core.config.mix_s is None or not self._member.held:
            return
        if core.digest != self._digest:
            self._digest, self._step, self._told = core.digest, 0, frozenset()
        step = int((core.now - core.version_since) / core.config.mix_s)
        if step > self._step:
            self._begin(step)

    def _begin(self, step: int) -> None:
        self._step, self._told = step, frozenset()
        self._tell(frozenset(self.group(step)))

    def _tell(self, peers: frozenset[PeerId]) -> None:
        to = sorted(peers - self._told - {self._core.me})
        self._told |= peers
        if to:
            core = self._core
            why = "" if self._leader_is_heard() else "no leader is heard, two and two: "
            core.note("mixing", f"{why}step {self._step} with {', '.join(map(core.name, to))}")
            core.emit(ShareDeviation(core.term, core.version, self._step, tuple(to)))

    def accepts(self, sender: PeerId, term: int, version: int, step: int) -> bool:
        """Whether a deviation is one to mix with: of this version, and of a member of the step's group."""
        core = self._core
        if core.config.mix_s is None or not self._member.held or sender not in core.peers:
            return False
        # Others come to a version a little earlier or later.
        near = core.digest == self._digest and self._step <= step <= self._step + 1
        return (term, version) == (core.term, core.version) and near and sender in self.group(step)

    def arrived(self, event: DeviationArrived) -> None:
        """A member's deviation is here: move towards it, and let it have this peer's."""
        if not self.accepts(event.sender, event.term, event.version, event.step):
            return
        if event.step > self._step:
            self._begin(event.step)
        weights = self.group(event.step)
        self._tell(frozenset({event.sender}))
        share = weights[event.sender] / sum(weights.values())
        self._core.emit(Mix(event.sender, event.version, event.step, share))

    def group(self, step: int) -> Mapping[PeerId, float]:
        """With whom this peer mixes in a step, itself included, by push-sum weight; empty if with nobody."""
        core, plan = self._core, self._member.plan
        if not self._leader_is_heard():
            return self._pair(step)
        if plan is None or not any(m.peer == core.me for m in plan.contributors):
            return {}
        order = by_rendezvous_hash(core.run, plan.round, (m.peer for m in plan.contributors))
        weights = push_sum_weights(order, _images(plan), step)
        return next({p: weights[p] for p in group} for group in groups(order, step) if core.me in group)

    def _leader_is_heard(self) -> bool:
        return self._core.leads or not self._leadership.leader_is_silent()

    def _pair(self, step: int) -> Mapping[PeerId, float]:
        """Without a leader there is no plan: whoever is on the same weights, two and two."""
        core = self._core
        mine = core.version, core.digest
        near = [p for p in core.alive() if (core.peers[p].version, core.peers[p].digest) == mine]
        order = by_rendezvous_hash(core.run, step, (core.me, *near))
        pair = [p for p in order if order.index(p) // 2 == order.index(core.me) // 2]
        return dict.fromkeys(pair, 1.0)


def groups(order: Sequence[PeerId], step: int) -> list[tuple[PeerId, ...]]:
    """Rows of a grid as square as ``order`` fills, in odd steps, and its columns in even ones.

    No group has more than ``ceil(sqrt(n))`` of n members.
    """
    side = isqrt(max(0, len(order) - 1)) + 1
    if step % 2:
        return [tuple(order[start : start + side]) for start in range(0, len(order), side)]
    return [column for start in range(side) if (column := tuple(order[start::side]))]


def push_sum_weights(order: Sequence[PeerId], images: Mapping[PeerId, int], step: int) -> dict[PeerId, float]:
    """Weights at the begin of a step: images at first, then each group shares its weight out evenly.

    Equal after rows and columns of a full grid, and after a few more of both of one that is not.
    """
    weights = {peer: float(images[peer]) for peer in order}
    for earlier in range(1, min(step, MOST_STEPS)):
        for group in groups(order, earlier):
            mean = sum(weights[peer] for peer in group) / len(group)
            weights.update(dict.fromkeys(group, mean))
    return weights


def _images(plan: Plan) -> dict[PeerId, int]:
    return {member.peer: images_in(member.spans) for member in plan.contributors}
