"""The rendezvous of the simulation and the real Postgres, side by side: the same calls, the same answers."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from p2pgan.errors import InternalError, RunError
from p2pgan.peer.table import FORGOTTEN_S, peers_read
from p2pgan.protocol.effects import UnitClaim
from p2pgan.protocol.ids import Contribution, Span, VersionRecord
from p2pgan.rendezvous import PeerStat, Rendezvous
from p2pgan.simulation.rendezvous import ModelRendezvous
from tests.contract.rendezvous.scenes import digest_of, make_snapshot, registration

IMAGES, UNIT = 100, 30
FAR = 1 << 20
"""An epoch that nobody can have come to."""
TTL_S, RESERVE_S = 100.0, 45.0
"""No multiple of ``STEP_S``: nothing runs out in the very moment in which one of the two is asked."""
STEP_S = 30.0
PEERS = ("A", "B", "C")
_names = itertools.count()

peers = st.sampled_from(PEERS)
behind = st.sampled_from([0, 0, 0, 1])
"""How old the term is that a peer believes in: mostly the present one."""


class SideBySide(RuleBasedStateMachine):
    """Time is told to the model, and in the database its stored times are moved back.

    The seconds that the test itself takes pass for both.
    """

    rendezvous: Rendezvous
    dsn: str

    @initialize()
    def begin(self) -> None:
        manifest, chunks = make_snapshot(0, digest_of(b"weights 0"), 0)
        self.run = self.rendezvous.create_run(
            name=f"model-{next(_names)}",
            config={},
            dataset={"count": IMAGES, "resolution": 32, "digest": "d" * 64},
            schema_hash="s" * 64,
            unit_images=UNIT,
            seed_manifest=manifest,
            chunks=chunks,
        ).id
        self.model = ModelRendezvous(manifest.digest, IMAGES, UNIT)
        self.began, self.skipped = time.monotonic(), 0.0
        self.attempts = itertools.count()
        self.last_commit: tuple[VersionRecord, ...] = ()
        for peer in "AB":
            self.register(peer, 1)
        self.acquire("A")

    # -- time and peers ----------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.skipped + time.monotonic() - self.began

    @rule(steps=st.integers(1, 4))
    def time_passes(self, steps: int) -> None:
        self.skipped += steps * STEP_S
        seconds = {"seconds": steps * STEP_S, "run": self.run}
        with psycopg.connect(self.dsn, autocommit=True) as database:
            database.execute(
                "update p2pgan.leases set expires_at = expires_at - make_interval(secs => %(seconds)s),"
                " reserved_until = reserved_until - make_interval(secs => %(seconds)s)"
                " where run_id = %(run)s",
                seconds,
            )
            database.execute(
                "update p2pgan.peers set last_seen = last_seen - make_interval(secs => %(seconds)s)"
                " where run_id = %(run)s",
                seconds,
            )

    @rule(peer=peers, port=st.integers(1, 2))
    def register(self, peer: str, port: int) -> None:
        with same_refusal() as tried:
            tried(lambda: self.rendezvous.register_peer(self.run, registration(peer, port=port)))
            tried(lambda: self.model.register(peer, str(port), self.now))

    @rule(peer=peers)
    def leave(self, peer: str) -> None:
        if peer in self.model.peers:
            self.rendezvous.set_peer_state(self.run, peer, "left")
            self.model.leave(peer)

    @rule(alive=st.dictionaries(peers, st.booleans(), min_size=1), old=behind)
    def roll_up(self, alive: dict[str, bool], old: int) -> None:
        peer, term = self.holder(old)
        stats = [PeerStat(p, "active" if up else "lost", 1.0, 0, "") for p, up in alive.items()]
        real = self.rendezvous.roll_up(self.run, peer, term, stats)
        assert real == self.model.roll_up(peer, term, alive, self.now)

    # -- the pen -----------------------------------------------------------------------------

    def holder(self, old: int) -> tuple[str, int]:
        """Who holds the pen (or a peer that does not), and a term that may be over."""
        return self.model.holder or "A", self.model.term - old

    @rule()
    def an_hour_passes(self) -> None:
        """After it a lost peer may not speak any more."""
        self.time_passes(int(FORGOTTEN_S / STEP_S))

    @rule(peer=peers)
    def acquire(self, peer: str) -> None:
        lease = self.rendezvous.acquire_lease(self.run, peer, TTL_S)
        assert (lease.term if lease else None) == self.model.acquire(peer, TTL_S, self.now)

    @rule(peer=peers)
    def take_over(self, peer: str) -> None:
        """Nobody has renewed the lease for long."""
        self.time_passes(4)
        self.acquire(peer)

    @rule(old=behind)
    def renew(self, old: int) -> None:
        peer, term = self.holder(old)
        renewal = self.rendezvous.renew_lease(self.run, peer, term, TTL_S)
        assert (renewal is not None) == self.model.renew(peer, term, TTL_S, self.now)
        assert renewal is None or renewal.peers_generation == self.model.generation

    @rule(old=behind, successor=st.none() | peers)
    def release(self, old: int, successor: str | None) -> None:
        peer, term = self.holder(old)
        if successor is None or successor in self.model.peers:
            real = self.rendezvous.release_lease(self.run, peer, term, successor, RESERVE_S)
            assert real == self.model.release(peer, term, successor, RESERVE_S, self.now)

    @rule(old=behind, sure=st.sampled_from([False] * 9 + [True]))
    def finish(self, old: int, sure: bool) -> None:
        if sure:
            peer, term = self.holder(old)
            assert self.rendezvous.finish_run(self.run, peer, term) == self.model.finish(peer, term)

    # -- work and weights --------------------------------------------------------------------

    @rule(epoch=st.sampled_from([0, 1, 2, 3, 4, FAR]), unit=st.integers(0, 3), old=behind)
    def claim(self, epoch: int, unit: int, old: int) -> None:
        peer, term = self.holder(old)
        claim = UnitClaim(epoch, unit, unit * UNIT, min((unit + 1) * UNIT, IMAGES))
        bounds = [(claim.epoch, claim.unit, claim.start, claim.stop)]
        real = self.rendezvous.claim_units(self.run, term, peer, bounds, 60.0)
        assert (real is not None) == self.model.claim(peer, term, (claim,))

    @rule(
        old=behind,
        units=st.lists(
            st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=4), min_size=1, max_size=2
        ),
        mistake=st.sampled_from(["", "", "", "", "parent", "version", "images", "outside"]),
    )
    def commit(self, old: int, units: list[list[tuple[int, int]]], mistake: str) -> None:
        peer, term = self.holder(old)
        if not self.model.peers or peer not in self.model.peers:
            return
        records = self.records(peer, term, units)
        records[-1] = with_mistake(records[-1], mistake)
        self.both_commit(peer, term, tuple(records))

    @rule(old=behind)
    def commit_again(self, old: int) -> None:
        """As after a lost answer."""
        if self.last_commit:
            peer, term = self.holder(old)
            self.both_commit(peer, term, self.last_commit)

    def records(self, peer: str, term: int, units: list[list[tuple[int, int]]]) -> list[VersionRecord]:
        version, parent, images = self.model.version, self.model.digest, self.model.images
        made = []
        for pieces in units:
            spans = tuple(
                Span(epoch, unit, unit * UNIT, min((unit + 1) * UNIT, IMAGES)) for epoch, unit in pieces
            )
            version, images = version + 1, images + sum(span.images for span in spans)
            digest = digest_of(f"{version} {next(self.attempts)}".encode())
            contributions = (Contribution(peer, spans),) if spans else ()
            made.append(VersionRecord(version, digest, parent, term, 1, peer, images, contributions))
            parent = digest
        return made

    def both_commit(self, peer: str, term: int, records: tuple[VersionRecord, ...]) -> None:
        last = records[-1]
        manifest, chunks = make_snapshot(last.version, last.digest, last.images)
        self.rendezvous.stage_chunks(self.run, peer, term, chunks)
        outcomes: list[bool] = []
        with same_refusal() as tried:
            tried(
                lambda: outcomes.append(
                    self.rendezvous.commit_weights(self.run, peer, term, records, manifest).committed
                )
            )
            tried(lambda: outcomes.append(self.model.commit(peer, term, records)[0] is None))
        if outcomes:
            assert outcomes[0] == outcomes[1]
            self.last_commit = records if outcomes[0] else self.last_commit

    # -- what both say -----------------------------------------------------------------------

    @invariant()
    def leases_are_equal(self) -> None:
        real, model = self.rendezvous.read_lease(self.run), self.model.read_lease(self.now)
        assert (real.term, real.holder, real.successor, real.finished) == (
            model.term, model.holder, model.successor, model.finished,
        )  # fmt: skip
        if model.term:
            assert real.expires_in_s == pytest.approx(model.expires_in_s, abs=STEP_S / 3)

    @invariant()
    def peers_are_equal(self) -> None:
        table = self.rendezvous.list_peers(self.run)
        assert table.generation == self.model.generation
        assert {p.id: p.state for p in table.peers} == {p: e.state for p, e in self.model.peers.items()}
        for row in table.peers:
            silent = self.now - self.model.peers[row.id].last_seen
            assert row.last_seen_s == pytest.approx(silent, abs=STEP_S / 3)

    @invariant()
    def who_may_speak_is_equal(self) -> None:
        """What a real peer makes of the table, and what a simulated one is told; the model knows no names."""
        real, model = peers_read(self.rendezvous.list_peers(self.run)), self.model.read_peers(self.now)
        assert real.generation == model.generation
        assert {dataclasses.replace(info, name="") for info in real.peers} == set(model.peers)
        assert len(real.peers) == len(model.peers)

    @invariant()
    def progress_is_equal(self) -> None:
        real, model = self.rendezvous.read_progress(self.run), self.model.progress()
        assert (real.term, real.version, real.digest) == (model.term, model.version, model.digest)
        assert real.made_in == model.made_in
        assert real.images == self.model.images
        assert [(e.epoch, e.done) for e in real.epochs] == [(e.epoch, e.ranges) for e in model.epochs]


def with_mistake(record: VersionRecord, mistake: str) -> VersionRecord:
    match mistake:
        case "parent":
            return msgspec.structs.replace(record, parent_digest=digest_of(b"another"))
        case "version":
            return msgspec.structs.replace(record, version=record.version + 1)
        case "images":
            return msgspec.structs.replace(record, images=record.images + 1)
        case "outside":
            outside = Contribution(record.leader, (Span(0, 0, UNIT - 1, UNIT + 1),))
            return msgspec.structs.replace(
                record, contributions=(outside,), images=record.images + 2 - counted(record)
            )
        case _:
            return record


def counted(record: VersionRecord) -> int:
    return sum(c.images for c in record.contributions)


@contextmanager
def same_refusal() -> Iterator[object]:
    """Two calls of which either both are refused in the same way, or none."""
    refusals: list[type[Exception] | None] = []

    def tried(call) -> None:
        try:
            call()
        except (InternalError, RunError) as error:
            refusals.append(type(error))
        else:
            refusals.append(None)

    yield tried
    assert refusals[0] == refusals[1], refusals


def test_the_model_answers_as_the_database_does(rendezvous: Rendezvous, server: str) -> None:
    class Pair(SideBySide):
        pass

    Pair.rendezvous, Pair.dsn = rendezvous, server
    run_state_machine_as_test(
        Pair,
        settings=settings(
            max_examples=25,
            stateful_step_count=50,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
