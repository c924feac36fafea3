"""Vectors as symbols: a state of the weights is the hash of its parent and of what went into it.

Here the invariants about contents are checked, at the moment when weights are made or change.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pgan.protocol.effects import Apply, BuildCandidate, Kept, Reduce
from p2pgan.protocol.ids import Contribution, PeerId, VersionRecord
from p2pgan.simulation.invariants import ALL_OR_NOTHING, EXACTLY_ONCE
from p2pgan.simulation.world import State, World, symbol

SNAPSHOTS_KEPT = 4
SNAPSHOTS_LENT = 3
LENT_S = 30.0
"""As a real peer keeps them: the last ones, and those that somebody fetches."""

SliceKey = tuple[int, int, int, int, PeerId]
"""(term, round, first_attempt, shard, sender)"""
ResultKey = tuple[int, int, int, int]
"""(term, round, attempt, shard)"""


@dataclass(frozen=True)
class Result:
    """What a reduced shard holds: the weights it starts from and the contributions in it."""

    base: str
    contributions: tuple[Contribution, ...]
    digest: str
    """Of both: what the weights become."""


class SymbolicVectors:
    """What one peer has in memory."""

    def __init__(self, world: World, me: PeerId) -> None:
        self._world, self._me = world, me
        self._state: State | None = None
        self.contribution: Contribution | None = None
        self.partial: Contribution | None = None
        """The one under way, of which a part can be sent: the elements after ``partial_from``."""
        self.partial_from = 0
        self.contribution_ahead: Contribution | None = None
        self.begun_at = ""
        """Digest of the weights that the last training began at."""
        self._snapshots: dict[str, State] = {}
        self._lent: dict[str, float] = {}
        """When a chunk of a snapshot was last asked for."""
        self.slices: dict[SliceKey, Contribution | None] = {}
        """None is what is not valid."""
        self.results: dict[ResultKey, Result] = {}
        self.result_elements: dict[ResultKey, int] = {}
        """Sizes of the shards that this peer has reduced."""
        self._candidates: dict[tuple[int, int, int], State] = {}

    def drop_training(self) -> None:
        """What was trained does not count."""
        self.contribution = self.partial = self.contribution_ahead = None

    def base(self) -> State:
        """The current weights."""
        assert self._state is not None
        return self._state

    def install(self, state: State) -> None:
        """Other weights replace the current ones and what was trained on them."""
        self._state = state
        self.drop_training()
        self._world.states[state.digest] = state
        self._snapshots[state.digest] = state
        now, kept = self._world.now, self._snapshots
        self._lent = {d: at for d, at in self._lent.items() if now - at < LENT_S and d in kept}
        lent = sorted(self._lent, key=self._lent.__getitem__)[-SNAPSHOTS_LENT:]
        for digest in list(kept)[:-SNAPSHOTS_KEPT]:
            if digest not in lent:
                del kept[digest]

    def lends(self, digest: str) -> bool:
        """Whether a snapshot is still there for somebody who fetches it; then it stays for a while."""
        if digest in self._snapshots:
            self._lent[digest] = self._world.now
        return digest in self._snapshots

    def apply(self, effect: Apply) -> None:
        """The candidate becomes the current weights."""
        record = effect.record
        state = self._candidates.pop((effect.round_term, record.version, effect.attempt))
        self._check(record, state)
        kept = {
            Kept.ALL: (self.contribution, self.contribution_ahead),
            Kept.AHEAD: (self.contribution_ahead, None),
            Kept.NOTHING: (None, None),
        }[effect.kept]
        self.install(state)
        self.contribution, self.contribution_ahead = kept

    def _check(self, record: VersionRecord, state: State) -> None:
        """Invariants 2 and 3 where weights change: what is in them is what the record says."""
        if state.digest != record.digest or state.parent != self.base().digest:
            self._world.violated(ALL_OR_NOTHING, f"{self._me} applies other weights than {record}")
        checked = self._world.checked
        if checked.get(state.digest) is record:
            # Everyone applies the same record: what it says is compared once.
            return
        checked[state.digest] = record
        if sorted(state.contributions) != sorted(record.contributions):
            self._world.violated(EXACTLY_ONCE, f"{self._me}: contributions differ from {record}")

    def reduce(self, effect: Reduce) -> PeerId | None:
        """The mean of a shard: here, the list of what is in it. Or else whose slice is not valid."""
        contributions = []
        for peer, images in effect.weights:
            key = (effect.term, effect.round, effect.first_attempt, effect.index, peer)
            contribution = self.slices[key]
            if contribution is None:
                return peer
            if contribution.images != images:
                self._world.violated(EXACTLY_ONCE, f"{peer} weighs {images} for {contribution}")
            contributions.append(contribution)
        base = self.base().digest
        result = Result(base, tuple(contributions), symbol(base, contributions))
        made = (effect.term, effect.round, effect.attempt, effect.index)
        self.results[made] = result
        self.result_elements[made] = effect.shard.stop - effect.shard.start
        return None

    def build(self, effect: BuildCandidate) -> str:
        """The weights after the round; all shards must hold the same contributions."""
        key = (effect.term, effect.round, effect.attempt)
        results = [self.results[(*key, index)] for index in range(len(effect.shards))]
        result = results[0]
        if any(r.digest != result.digest for r in results) or result.base != self.base().digest:
            text = f"shards of round {effect.round} differ in contributors"
            self._world.violated(ALL_OR_NOTHING, text)
        self._candidates[key] = State(effect.round, result.digest, result.base, result.contributions)
        return result.digest

    def forget(self, below: int) -> None:
        """Drop what belongs to rounds below this one."""
        self.slices = {k: v for k, v in self.slices.items() if k[1] >= below}
        self.results = {k: v for k, v in self.results.items() if k[1] >= below}
        self.result_elements = {k: v for k, v in self.result_elements.items() if k[1] >= below}
        self._candidates = {k: v for k, v in self._candidates.items() if k[1] >= below}
