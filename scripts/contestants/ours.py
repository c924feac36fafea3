"""p2pgan's averaging as a peer does it, sealed, with its accounting and digests.

The transport, the exchange of the state machine, and what performs its effects are the peer's own. What a
round needs besides, the leader's plan, the votes and the word that it is committed, is sent as a leader
and its members send it.
"""

from __future__ import annotations

import queue
import threading
import time
from types import SimpleNamespace
from typing import Any

import torch
from serve import ask, serve, task
from torch import Tensor

from p2pgan.averaging.digest import vector_digest
from p2pgan.averaging.flatten import Entry, Layout
from p2pgan.averaging.outer import Movement
from p2pgan.averaging.rules import rule
from p2pgan.peer.inbox import Inbox
from p2pgan.peer.perform import Performer
from p2pgan.peer.vectors import Snapshot, Vectors
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import ForgetRounds
from p2pgan.protocol.events import CandidateReady, Reduced, ResultArrived, SliceArrived
from p2pgan.protocol.exchange import Exchange
from p2pgan.protocol.ids import Contribution, Span, VersionRecord
from p2pgan.protocol.messages import Heartbeat, Member, Phase, Plan, RoundCommitted
from p2pgan.protocol.shards import cut_shards, equal_shares
from p2pgan.transport import (
    BlobArrived,
    BulkLimits,
    MessageArrived,
    PeerAddress,
    StrangerSeen,
    Transport,
    new_keys,
)

RUN = "bench"
TERM = 1
IMAGES = 64
PATIENCE_S = 120.0


class Peer:
    """One member; the first in order of their keys leads."""

    def __init__(self, job: dict[str, Any]) -> None:
        elements, self._codec = job["elements"], job["codec"]
        self.inbox, keys = Inbox(), new_keys()
        self.me = keys.public
        self.transport = Transport(
            keys,
            deliver=self.inbox.deliver,
            bind_host=job.get("host", "127.0.0.1"),
            limits=_limits(elements, job.get("shared", False)),
        )
        address = self.transport.start()
        told = ask(me=self.me, control=address.control, bulk=address.bulk)
        self.peers = sorted(other["me"] for other in told)
        self.transport.set_peers(
            {other["me"]: PeerAddress(other["control"], other["bulk"]) for other in told}
        )
        if job.get("shared", False):
            self._wait_for_readers()
        self._vectors = Vectors(
            _layout(elements), Movement(1.0), 1000.0, rule(job.get("rule", "mean")),
            allocate=self.transport.allocate,
        )  # fmt: skip
        theta = torch.zeros(elements)
        self._base = vector_digest(theta)
        self._vectors.install(Snapshot(self._vectors.layout, 0, self._base, 0, theta, theta[:1]))
        self._core = Core(ProtocolConfig(1 << 20, 512, 64, elements, "bench"), self.me, RUN, False, True)
        self._exchange = Exchange(self._core)
        unused: Any = SimpleNamespace()
        self._performer = Performer(
            RUN, self.me, self._vectors, unused, self.transport, unused, unused, self.inbox, unused,
            lambda _term, _number: True, lambda _peer, _term, _round, _number: False,
        )  # fmt: skip
        self._votes: dict[str, str] = {}
        self.digest = ""

    def _wait_for_readers(self) -> None:
        """Until all others read from this member's memory; before they do, payloads go sealed."""
        until, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while self.transport.counters().get("arena_taken", 0) < len(self.peers) - 1:
            if time.monotonic() > until:
                raise SystemExit("the members do not share memory")
            pause.wait(0.05)

    def average(self, number: int, vector: Tensor) -> Tensor:
        """One round: from the plan to the word that it is committed; the candidate's mean."""
        self._vectors.contribution = vector
        self._votes, self._done, self.digest = {}, False, ""
        self._plan: Plan | None = None
        if self.me == self.peers[0]:
            plan = self._planned(number)
            for other in self.peers[1:]:
                self.transport.send(other, plan)
            self._take_plan(plan)
        until = time.monotonic() + PATIENCE_S
        while not self._done:
            self._take(self.inbox.get(timeout=until - time.monotonic()))
        self._exchange.forget(number)
        candidate, _ = self._vectors._candidates[(TERM, number, 1)]
        self._core.emit(ForgetRounds(number + 1))
        self._perform()
        return candidate

    def _planned(self, number: int) -> Plan:
        members = tuple(
            Member(p, (Span(0, 0, i * IMAGES, (i + 1) * IMAGES),), True) for i, p in enumerate(self.peers)
        )
        return Plan(
            run=RUN, term=TERM, round=number, attempt=1, first_attempt=1, base_version=number - 1,
            base_digest=self._base, members=members, codec=self._codec, reason="bench",
            shards=cut_shards(self._vectors.layout.size, equal_shares(self.peers)),
        )  # fmt: skip

    def _take_plan(self, plan: Plan) -> None:
        self._plan = plan
        self._exchange.planned(plan)
        self._step()

    def _take(self, item: object) -> None:
        exchange = self._exchange
        match item:
            case MessageArrived(_, Plan() as plan):
                self._take_plan(plan)
            case MessageArrived(sender, Heartbeat() as beat):
                self._vote(sender, beat.candidate)
            case MessageArrived(_, RoundCommitted(record=record)):
                self._committed(record)
            case BlobArrived():
                self._performer.blob_arrived(item)
            case SliceArrived():
                exchange.slice_arrived(item)
                self._step()
            case ResultArrived():
                exchange.result_arrived(item)
                self._step()
            case Reduced():
                exchange.reduced(item)
                self._step()
            case CandidateReady(digest=digest):
                self._candidate_ready(digest)
            case StrangerSeen():
                pass  # it dialled before this member was told of it
            case _:
                raise RuntimeError(f"a round that goes well brings no {item}")

    def _step(self) -> None:
        if self._plan is not None:
            self._exchange.step(self._plan, trained=True)
        self._perform()

    def _perform(self) -> None:
        effects, self._core.effects = self._core.effects, []
        for effect in effects:
            self._performer.perform(effect)

    def _candidate_ready(self, digest: str) -> None:
        assert self._plan is not None
        self.digest = digest
        if self.me == self.peers[0]:
            self._vote(self.me, digest)
            return
        beat = Heartbeat(
            run=RUN, term=TERM, version=self._plan.base_version, digest=self._base, phase=Phase.VERIFIED,
            round=self._plan.round, attempt=1, candidate=digest,
        )  # fmt: skip
        self.transport.send(self.peers[0], beat)

    def _vote(self, sender: str, digest: str) -> None:
        assert self._plan is not None
        self._votes[sender] = digest
        if len(self._votes) < len(self.peers):
            return
        if len(set(self._votes.values())) > 1:
            raise RuntimeError("the members' digests differ")
        contributions = tuple(Contribution(m.peer, m.spans) for m in self._plan.members)
        images = IMAGES * len(self.peers)
        record = VersionRecord(
            self._plan.round, digest, self._base, TERM, 1, self.me, self._plan.round * images, contributions
        )
        for other in self.peers[1:]:
            self.transport.send(other, RoundCommitted(run=RUN, term=TERM, record=record))
        self._committed(record)

    def _committed(self, record: VersionRecord) -> None:
        if record.digest != self.digest:
            raise RuntimeError("another digest was committed than this member's")
        self._vectors.coding.settle(record, TERM, contributed=True)
        self._done = True

    def sent_bytes(self) -> int:
        """Sealed bytes on the wire so far, headers and tags included."""
        return self.transport.counters().get("frame_bytes_sent", 0)

    def shared_bytes(self) -> int:
        """Bytes that others read where they were written."""
        return self.transport.counters().get("shared_bytes_sent", 0)


def _limits(elements: int, shared: bool) -> BulkLimits:
    longest = 4 * elements
    return BulkLimits(longest) if shared else BulkLimits(longest, max_shared_bytes=0)


def _layout(elements: int) -> Layout:
    """Two networks of one matrix each."""
    half = elements // 2
    rest = elements - half
    return Layout((Entry("g", (1, half), 0, half, "G"), Entry("d", (1, rest), half, elements, "D")))


if __name__ == "__main__":
    job = task()
    peer = Peer(job)
    try:
        counters = {"sent": peer.sent_bytes, "shared": peer.shared_bytes}
        serve(peer.average, job["place"], job["elements"], digest=lambda: peer.digest, **counters)
    except queue.Empty:
        raise SystemExit("a round did not end") from None
    peer.transport.close()
