"""Drives one state machine by events, as a peer would."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.effects import Apply, BuildCandidate, Effect, Send, Train
from p2pgan.protocol.events import (
    CandidateReady,
    Event,
    LeaseAcquired,
    LeaseRead,
    PeerInfo,
    PeersRead,
    ProgressRead,
    Received,
    ResultArrived,
    SnapshotInstalled,
    Tick,
    TrainingDone,
)
from p2pgan.protocol.ids import SnapshotManifest
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import AnyMessage, Heartbeat, Member, Phase, Plan, Shard

CONFIG = ProtocolConfig(
    images=1000, unit_images=64, microbatch=8, vector_size=4096, schema_hash="schema", round_s=2.0
)
BASE = "base"
E = TypeVar("E")


def manifest(version: int = 0, digest: str = BASE) -> SnapshotManifest:
    return SnapshotManifest(version, digest, "schema", 0, 3, ("c0", "c1", "c2"))


class Driver:
    """A machine with a clock; remembers the effects of the last event and of all."""

    def __init__(
        self, me: str = "a", others: tuple[str, ...] = ("b", "c"), trains: bool = True, **changes: object
    ) -> None:
        self.machine = Machine(replace(CONFIG, **changes), me, "run", trains=trains)
        self.now = 0.0
        self.last: list[Effect] = []
        self.all: list[Effect] = []
        self.give(PeersRead(1, tuple(PeerInfo(p, True, False) for p in (me, *others))))

    def give(self, event: Event, after: float = 0.0) -> list[Effect]:
        self.now += after
        self.last = self.machine.handle(self.now, event)
        self.all.extend(self.last)
        return self.last

    def tick(self, seconds: float, step: float = 0.25) -> list[Effect]:
        seen: list[Effect] = []
        end = self.now + seconds
        while self.now < end - 1e-9:
            seen += self.give(Tick(), min(step, end - self.now))
        return seen

    def hear(self, sender: str, message: AnyMessage) -> list[Effect]:
        return self.give(Received(sender, message))

    def beat(self, sender: str, **changes: object) -> list[Effect]:
        """A heartbeat of ``sender`` in this machine's term, on its weights unless told otherwise."""
        core = self.machine.core
        fields = {"run": "run", "term": core.term, "version": core.version, "digest": core.digest}
        return self.hear(sender, Heartbeat(**{**fields, "phase": Phase.IDLE, "lease_held": True, **changes}))

    def follow(self, leader: str = "b", term: int = 1, version: int = 0, digest: str = BASE) -> None:
        """Make this machine a follower with weights."""
        self.give(LeaseRead(term, leader, 5.0, None))
        self.give(SnapshotInstalled(manifest(version, digest), ()))
        self.beat(leader)

    def lead(self, *reporting: str, term: int = 1) -> None:
        """Make this machine the leader of ``term`` with the peers that report."""
        self.give(LeaseAcquired(term))
        self.give(ProgressRead(term, 0, BASE, ()))
        self.give(SnapshotInstalled(manifest(), ()))
        for peer in reporting:
            self.beat(peer)
        self.tick(2.0)

    def sent(self, kind: type[E], to: str | None = None, among: list[Effect] | None = None) -> list[E]:
        effects = self.all if among is None else among
        return [
            e.message
            for e in effects
            if isinstance(e, Send) and isinstance(e.message, kind) and (to is None or e.to == to)
        ]

    def of(self, kind: type[E], among: list[Effect] | None = None) -> list[E]:
        return [e for e in (self.all if among is None else among) if isinstance(e, kind)]

    def train(self) -> None:
        """Finish whatever training was asked for last."""
        self.give(TrainingDone(self.of(Train)[-1].ticket, 100.0))

    def assemble(self, plan: Plan, digest: str) -> None:
        """All results of ``plan`` arrive and the candidate has ``digest``."""
        for index, shard in enumerate(plan.shards):
            self.give(ResultArrived(shard.owner, plan.term, plan.round, plan.attempt, index))
        build = self.of(BuildCandidate)[-1]
        self.give(CandidateReady(build.term, build.round, build.attempt, digest))

    @property
    def applied(self) -> list[int]:
        return [e.record.version for e in self.of(Apply)]


def plan_for(*members: Member, term: int = 1, attempt: int = 1, first: int = 1, leader: str = "b") -> Plan:
    """Round 1 on the base weights, all reduced by the leader."""
    return Plan(
        run="run",
        term=term,
        round=1,
        attempt=attempt,
        first_attempt=first,
        base_version=0,
        base_digest=BASE,
        members=members,
        shards=(Shard(leader, 0, 4096),),
        codec="fp16",
        reason="test",
    )
