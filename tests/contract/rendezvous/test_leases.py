from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from p2pgan.errors import RendezvousUnavailable
from p2pgan.rendezvous import Rendezvous
from tests.contract.rendezvous.scenes import Scene, open_scene, registration

HOUR = 3600.0
OVER = 0.0
"""A lease of no time has run out when the call returns: so time needs no waiting for."""


def test_the_pen_is_held_by_one(scene: Scene) -> None:
    assert scene.rendezvous.acquire_lease(scene.run.id, "B", HOUR) is None
    lease = scene.rendezvous.read_lease(scene.run.id)
    assert (lease.term, lease.holder) == (1, "A")
    assert HOUR - 60 < lease.expires_in_s <= HOUR


def test_a_lease_that_ran_out_is_renewed_unless_somebody_took_it(scene: Scene) -> None:
    run, rendezvous = scene.run.id, scene.rendezvous
    assert rendezvous.renew_lease(run, "A", 1, OVER) is not None
    assert rendezvous.read_lease(run).expires_in_s <= 0
    assert rendezvous.renew_lease(run, "A", 1, OVER) is not None
    assert scene.take_pen("B") == 2
    assert rendezvous.renew_lease(run, "A", 1, HOUR) is None
    assert not rendezvous.release_lease(run, "A", 1)
    assert rendezvous.read_lease(run).holder == "B"


def test_a_released_pen_waits_for_its_successor(scene: Scene) -> None:
    run, rendezvous = scene.run.id, scene.rendezvous
    assert rendezvous.release_lease(run, "A", 1, successor="B", reserve_s=HOUR)
    lease = rendezvous.read_lease(run)
    assert (lease.term, lease.holder, lease.successor) == (1, None, "B")
    assert rendezvous.acquire_lease(run, "A", HOUR) is None
    taken = rendezvous.acquire_lease(run, "B", HOUR)
    assert taken is not None
    assert (taken.term, taken.holder, taken.successor) == (2, "B", None)


def test_a_reservation_ends(scene: Scene) -> None:
    assert scene.rendezvous.release_lease(scene.run.id, "A", 1, successor="B", reserve_s=OVER)
    assert scene.rendezvous.acquire_lease(scene.run.id, "A", HOUR) is not None


def test_who_cannot_lead_does_not_get_the_pen(scene: Scene) -> None:
    scene.rendezvous.register_peer(scene.run.id, registration("C", can_lead=False))
    assert scene.rendezvous.release_lease(scene.run.id, "A", 1)
    assert scene.rendezvous.acquire_lease(scene.run.id, "C", HOUR) is None
    assert scene.rendezvous.acquire_lease(scene.run.id, "never registered", HOUR) is None


@pytest.fixture
def racers(server: str, scene: Scene) -> Iterator[list[tuple[str, Rendezvous]]]:
    names = [f"racer {number}" for number in range(6)]
    for name in names:
        scene.rendezvous.register_peer(scene.run.id, registration(name))
    lines = [(name, Rendezvous(server)) for name in names]
    yield lines
    for _, line in lines:
        line.close()


def test_of_racing_peers_one_gets_the_pen(scene: Scene, racers: list[tuple[str, Rendezvous]]) -> None:
    for term in range(2, 12):
        lease = scene.rendezvous.read_lease(scene.run.id)
        assert scene.rendezvous.release_lease(scene.run.id, str(lease.holder), lease.term)
        line_up = threading.Barrier(len(racers))

        def take(racer: tuple[str, Rendezvous], line_up: threading.Barrier = line_up) -> str | None:
            name, line = racer
            line.read_lease(scene.run.id)  # connected before the start
            line_up.wait(timeout=30)
            return name if line.acquire_lease(scene.run.id, name, HOUR) else None

        with ThreadPoolExecutor(len(racers)) as pool:
            winners = [name for name in pool.map(take, racers) if name]
        lease = scene.rendezvous.read_lease(scene.run.id)
        assert ([lease.holder], lease.term) == (winners, term)


def test_a_transaction_of_the_leader_holds_up_the_next_leader_but_not_its_own_renewal(
    server: str, scene: Scene
) -> None:
    run, rendezvous = scene.run.id, scene.rendezvous
    with psycopg.connect(server) as committing:
        assert committing.execute("select p2pgan.holds_pen(%s, 'A', 1)", [run]).fetchone() == (True,)
        assert rendezvous.renew_lease(run, "A", 1, OVER) is not None
        with pytest.raises(RendezvousUnavailable, match="lock timeout"):
            rendezvous.acquire_lease(run, "B", HOUR)
    assert rendezvous.acquire_lease(run, "B", HOUR) is not None


class LeaseMachine(RuleBasedStateMachine):
    """The lease against a model of it, for any order of calls by three peers."""

    rendezvous: Rendezvous
    peers = st.sampled_from(["A", "B", "C"])
    times = st.sampled_from([OVER, HOUR])
    terms_ago = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.run = open_scene(self.rendezvous).run.id
        self.rendezvous.register_peer(self.run, registration("C"))
        self.term, self.holder, self.expired = 1, "A", False
        self.reserved_for: str | None = None

    @rule(peer=peers, ttl=times)
    def acquire(self, peer: str, ttl: float) -> None:
        free = self.expired and self.reserved_for in (None, peer)
        lease = self.rendezvous.acquire_lease(self.run, peer, ttl)
        assert (lease is not None) == free
        if lease:
            self.term, self.holder, self.expired, self.reserved_for = self.term + 1, peer, ttl == OVER, None
            assert lease.term == self.term

    @rule(peer=peers, ago=terms_ago, ttl=times)
    def renew(self, peer: str, ago: int, ttl: float) -> None:
        holds = peer == self.holder and ago == 0
        assert (self.rendezvous.renew_lease(self.run, peer, self.term - ago, ttl) is not None) == holds
        if holds:
            self.expired = ttl == OVER

    @rule(peer=peers, ago=terms_ago, successor=st.none() | peers, reserve=times)
    def release(self, peer: str, ago: int, successor: str | None, reserve: float) -> None:
        holds = peer == self.holder and ago == 0
        assert self.rendezvous.release_lease(self.run, peer, self.term - ago, successor, reserve) == holds
        if holds:
            self.holder, self.expired = "", True
            self.reserved_for = successor if reserve == HOUR else None

    @invariant()
    def agrees(self) -> None:
        lease = self.rendezvous.read_lease(self.run)
        assert (lease.term, lease.holder or "") == (self.term, self.holder)
        assert (lease.expires_in_s <= 0) == self.expired


def test_any_order_of_calls(rendezvous: Rendezvous) -> None:
    machine = type("Machine", (LeaseMachine,), {"rendezvous": rendezvous})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
