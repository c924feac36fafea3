"""The rules of the rendezvous without a database: what the SQL functions do, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pgan.protocol.events import EpochDone, LeaseRead, PeerInfo, PeersRead, ProgressRead
from p2pgan.protocol.ids import PeerId, VersionRecord

RESERVE_S = 2.0
"""Head start of a named successor."""
LIVE_S = 15.0
"""A peer not seen for this long counts as gone."""


@dataclass
class ModelRendezvous:
    """State and rules of one run; time is passed in by the caller."""

    genesis: str
    term: int = 0
    holder: PeerId | None = None
    expires_at: float = 0.0
    successor: PeerId | None = None
    reserved_until: float = 0.0
    finished: bool = False
    generation: int = 0
    peers: dict[PeerId, tuple[bool, float]] = field(default_factory=dict)
    """peer -> (left, last seen)"""
    history: list[VersionRecord] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    @property
    def version(self) -> int:
        return self.history[-1].version if self.history else 0

    @property
    def digest(self) -> str:
        return self.history[-1].digest if self.history else self.genesis

    def register(self, peer: PeerId, now: float) -> None:
        self.peers[peer] = (False, now)
        self.generation += 1

    def leave(self, peer: PeerId, now: float) -> None:
        self.peers[peer] = (True, now)
        self.generation += 1

    def read_peers(self, now: float) -> PeersRead:
        rows = tuple(
            PeerInfo(p, True, left or now - seen > LIVE_S) for p, (left, seen) in sorted(self.peers.items())
        )
        return PeersRead(self.generation, rows)

    def read_lease(self, now: float) -> LeaseRead:
        reserved = self.successor if now < self.reserved_until else None
        return LeaseRead(self.term, self.holder, self.expires_at - now, reserved, self.finished)

    def acquire(self, peer: PeerId, ttl_s: float, now: float) -> int | None:
        """The new term, or None: like the atomic update, only one of several gets it."""
        reserved = self.successor is not None and now < self.reserved_until and self.successor != peer
        if now < self.expires_at or reserved or self.finished:
            return None
        self.term += 1
        self.holder, self.expires_at, self.successor = peer, now + ttl_s, None
        self.peers[peer] = (False, now)
        return self.term

    def _holds(self, peer: PeerId, term: int) -> bool:
        return self.holder == peer and self.term == term and not self.finished

    def renew(self, peer: PeerId, term: int, ttl_s: float, now: float) -> bool:
        if not self._holds(peer, term):
            return False
        self.expires_at = now + ttl_s
        return True

    def release(self, peer: PeerId, term: int, successor: PeerId | None, now: float) -> bool:
        if not self._holds(peer, term):
            return False
        self.holder, self.expires_at = None, now
        self.successor, self.reserved_until = successor, now + RESERVE_S
        return True

    def roll_up(self, peer: PeerId, term: int, alive: tuple[PeerId, ...], now: float) -> bool:
        if not self._holds(peer, term):
            return False
        for seen in alive:
            if seen in self.peers and not self.peers[seen][0]:
                self.peers[seen] = (False, now)
        return True

    def finish(self, peer: PeerId, term: int) -> bool:
        if not self._holds(peer, term):
            return False
        self.finished = True
        return True

    def progress(self, images: int) -> ProgressRead:
        done: dict[int, list[tuple[int, int]]] = {}
        for record in self.history:
            for contribution in record.contributions:
                for span in contribution.spans:
                    done.setdefault(span.epoch, []).append((span.start, span.stop))
        highest = max(done, default=-1)
        named = [
            EpochDone(epoch, tuple(sorted(done.get(epoch, []))))
            for epoch in range(highest + 1)
            if epoch == highest or sum(b - a for a, b in done.get(epoch, [])) < images
        ]
        return ProgressRead(self.version, self.digest, tuple(named))

    def commit(self, peer: PeerId, term: int, records: tuple[VersionRecord, ...]) -> str | None:
        """None if committed, else the reason; nothing changes unless everything fits."""
        if not self._holds(peer, term):
            return f"term {term} does not hold the lease"
        known = {(r.version, r.digest) for r in self.history}
        records = tuple(r for r in records if (r.version, r.digest) not in known)
        version, digest = self.version, self.digest
        for record in records:
            if record.version != version + 1 or record.parent_digest != digest:
                return f"version {record.version} does not follow on version {version}"
            version, digest = record.version, record.digest
        overlap = self._overlap(records)
        if overlap is not None:
            self.refusals.append(overlap)
            return overlap
        self.history.extend(records)
        return None

    def _overlap(self, records: tuple[VersionRecord, ...]) -> str | None:
        spans = sorted(s for r in (*self.history, *records) for c in r.contributions for s in c.spans)
        for a, b in zip(spans, spans[1:], strict=False):
            if a.overlaps(b):
                return f"span {b} was counted before as {a}"
        return None
