"""The checker can fail: protocols with a deliberate mistake are caught within a thousand seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from p2pgan.protocol.conduct import Conductor
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.effects import Kept
from p2pgan.protocol.exchange import Exchange
from p2pgan.protocol.gathering import Gathering
from p2pgan.protocol.leadership import Leadership
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.member import Member
from p2pgan.protocol.plans import Planner
from p2pgan.protocol.units import UnitPool
from p2pgan.simulation import transfers
from p2pgan.simulation.draw import draw_scenario
from p2pgan.simulation.invariants import ALL_OR_NOTHING, EXACTLY_ONCE, ONE_PEN, SOUND
from p2pgan.simulation.rendezvous import ModelRendezvous
from p2pgan.simulation.run import CONFIG, simulate
from p2pgan.simulation.vectors import Result, SymbolicVectors
from p2pgan.simulation.world import symbol

SEEDS = 1000

Patch = Callable[[pytest.MonkeyPatch], None]


def commit_without_term_check(patch: pytest.MonkeyPatch) -> None:
    """The database takes a commit from whoever was a leader once."""
    patch.setattr(ModelRendezvous, "_holds", lambda self, peer, term: not self.finished)


def commit_on_any_parent(patch: pytest.MonkeyPatch) -> None:
    """The database does not look where a version comes from, and a leader never looks at the database."""
    commit = ModelRendezvous.commit

    def careless(self, peer, term, records):
        refused, fresh = commit(self, peer, term, records)
        if refused is not None and "does not follow" in refused:
            return _commit_over(self, peer, term, records)
        return refused, fresh

    patch.setattr(ModelRendezvous, "commit", careless)
    anything = "p2pgan.protocol.core.Core.extends"
    patch.setattr(anything, lambda self, version, digest, made_in: self.has_weights)


def forget_uncommitted_spans(patch: pytest.MonkeyPatch) -> None:
    """A new leader hands out again what is in the weights but not in the database yet."""
    restore = UnitPool.restore
    patch.setattr(UnitPool, "restore", lambda self, epochs, uncommitted: restore(self, epochs, []))


def hand_out_twice(patch: pytest.MonkeyPatch) -> None:
    """The spans of a straggler go to others although it keeps them."""
    amended = Planner.amended

    def careless(self, plan, change):
        for peer in change.late | change.gone:
            for span in self.pool.held(peer):
                self.pool._open.add(span)
        return amended(self, plan, change)

    patch.setattr(Planner, "amended", careless)


def apply_what_another_attempt_built(patch: pytest.MonkeyPatch) -> None:
    """A member applies whatever it has verified last, without comparing digests."""

    def careless(self, candidate, record):
        return candidate.plan.round == record.version

    patch.setattr(Member, "fits", careless)


def reduce_without_waiting(patch: pytest.MonkeyPatch) -> None:
    """An owner reduces over the contributors whose slices it has, not over the plan's."""
    emit = Exchange._reduce_if_complete

    def hasty(self, plan, state, index):
        missing = self.missing_slices(plan, state, index)
        if missing and len(missing) < len(plan.contributors):
            members = tuple(m for m in plan.members if m.peer not in missing)
            plan = type(plan)(**{f: getattr(plan, f) for f in plan.__struct_fields__} | {"members": members})
        emit(self, plan, state, index)

    patch.setattr(Exchange, "_reduce_if_complete", hasty)


def decide_without_all_votes(patch: pytest.MonkeyPatch) -> None:
    """The leader commits a round on its own vote, whatever the contributors would have."""
    patch.setattr(Conductor, "_voters", lambda self, plan: {self._core.me})
    patch.setattr(Exchange, "missing_slices", lambda self, plan, state, index: [
        m.peer for m in plan.contributors
        if m.peer not in state.slices[plan.first_attempt, index] and m.peer == self._core.me
    ])  # fmt: skip


def trust_an_announced_term(patch: pytest.MonkeyPatch) -> None:
    """A peer takes whoever speaks of a later term for its leader, without a look at the lease row."""
    received = Machine._received

    def believing(self, event):
        if event.message.term > self.core.term and event.sender in self.core.peers:
            self.core.term, self.core.leader = event.message.term, event.sender
        received(self, event)

    patch.setattr(Machine, "_received", believing)


def double_count_a_resent_contribution(patch: pytest.MonkeyPatch) -> None:
    """An owner adds a slice once more when it comes again."""
    store, reduce, again = transfers._store_slice, SymbolicVectors.reduce, set()

    def careless(owner, key, contribution):
        if key in owner.vectors.slices:
            again.add((id(owner.vectors), key))
        store(owner, key, contribution)

    def twice(self, effect):
        rejected = reduce(self, effect)
        made = (effect.term, effect.round, effect.attempt, effect.index)
        keys = [(effect.term, effect.round, effect.first_attempt, effect.index, p) for p, _ in effect.weights]
        more = tuple(self.slices[key] for key in keys if (id(self), key) in again)
        if rejected is None and more:
            contributions = (*self.results[made].contributions, *more)
            base = self.results[made].base
            self.results[made] = Result(base, contributions, symbol(base, contributions))
        return rejected

    patch.setattr(transfers, "_store_slice", careless)
    patch.setattr(SymbolicVectors, "reduce", twice)


def skip_gathering(patch: pytest.MonkeyPatch) -> None:
    """A new leader goes on from the committed version, though peers are ahead, and the database lets it."""
    patch.setattr(Gathering, "_reports", lambda self: {})
    patch.setattr(ModelRendezvous, "commit", _commit_over)


def _commit_over(self, peer, term, records):
    self.history.extend(records)
    return None, records


def open_complete_epochs_again(patch: pytest.MonkeyPatch) -> None:
    """The database names the incomplete epochs and the last one, not the complete ones between them."""
    progress = ModelRendezvous.progress

    def forgetful(self):
        read = progress(self)
        last = max((e.epoch for e in read.epochs), default=0)
        named = tuple(e for e in read.epochs if e.epoch == last or e.ranges != ((0, self._images),))
        return replace(read, epochs=named)

    patch.setattr(ModelRendezvous, "progress", forgetful)


def trust_a_lease_for_too_long(patch: pytest.MonkeyPatch) -> None:
    """A holder counts its lease from the answer on, and generously."""
    trust = Leadership._trust

    def generous(self):
        trust(self)
        self.trusted_until = self._core.now + 2 * self._core.config.ttl_s

    patch.setattr(Leadership, "_trust", generous)


def hand_out_what_is_counted(patch: pytest.MonkeyPatch) -> None:
    """The spans of a committed round are open again."""
    patch.setattr(UnitPool, "done", lambda self, peer: self.give_back(peer))


def hand_out_again_what_is_ahead(patch: pytest.MonkeyPatch) -> None:
    """What a peer is to go on with stays open for others."""
    take = UnitPool.take_ahead

    def careless(self, peer, images, own):
        spans = take(self, peer, images, own)
        for span in spans:
            self._open.add(span)
        return spans

    patch.setattr(UnitPool, "take_ahead", careless)


def contribute_again_what_is_counted(patch: pytest.MonkeyPatch) -> None:
    """A peer goes on with what was ahead, and sends what it sent in the round before."""
    apply = SymbolicVectors.apply

    def careless(self, effect):
        before = self.contribution
        apply(self, effect)
        if effect.kept is Kept.AHEAD:
            self.contribution = before

    patch.setattr(SymbolicVectors, "apply", careless)


SHORT_PASSES = replace(CONFIG, images=64, unit_images=16)
HANDED_OVER = replace(CONFIG, images=128, unit_images=32, rotate_every=1)
RUNS = {open_complete_epochs_again: SHORT_PASSES, trust_an_announced_term: HANDED_OVER}
"""Where a mistake needs several passes on the way at once, or many changes of the leader: who has them."""


@pytest.mark.parametrize(
    ("mutation", "invariant"),
    [
        (commit_without_term_check, ONE_PEN),
        (commit_on_any_parent, ONE_PEN),
        (forget_uncommitted_spans, EXACTLY_ONCE),
        (hand_out_twice, EXACTLY_ONCE),
        (apply_what_another_attempt_built, ALL_OR_NOTHING),
        (reduce_without_waiting, EXACTLY_ONCE),
        (decide_without_all_votes, SOUND),
        (trust_an_announced_term, ALL_OR_NOTHING),
        (double_count_a_resent_contribution, ALL_OR_NOTHING),
        (skip_gathering, EXACTLY_ONCE),
        (open_complete_epochs_again, EXACTLY_ONCE),
        (trust_a_lease_for_too_long, ONE_PEN),
        (hand_out_what_is_counted, EXACTLY_ONCE),
        (hand_out_again_what_is_ahead, EXACTLY_ONCE),
        (contribute_again_what_is_counted, EXACTLY_ONCE),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_mistaken_protocol_is_caught(
    monkeypatch: pytest.MonkeyPatch, mutation: Patch, invariant: str
) -> None:
    """By the invariant that it breaks, not only because nothing works any more."""
    mutation(monkeypatch)

    config = RUNS.get(mutation, CONFIG)
    assert any(_breaks(seed, config, invariant) for seed in range(SEEDS)), (
        f"{mutation.__doc__} went unnoticed"
    )


def test_gradients_of_weights_that_are_gone_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Member._kept

    def careless(self, record):
        mine = any(c.peer == self._core.me for c in record.contributions)
        return Kept.ALL if self.held and not mine else kept(self, record)

    monkeypatch.setattr(Member, "_kept", careless)

    assert any(simulate(draw_scenario(seed, sync="gradients")).violations for seed in range(SEEDS))


def test_elements_that_are_still_computed_are_caught_when_they_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part_trained = Member.part_trained

    def hasty(self, event):
        part_trained(self, replace(event, start=0))

    monkeypatch.setattr(Member, "part_trained", hasty)

    assert simulate(draw_scenario(0, sync="gradients")).violations


def _breaks(seed: int, config: ProtocolConfig, invariant: str) -> bool:
    violations = simulate(draw_scenario(seed), config).violations
    return any(f" {invariant}: " in violation for violation in violations)
