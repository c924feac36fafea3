"""The rules of the rendezvous without a database: what the SQL does, in memory.

A test runs it beside the real Postgres, call by call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf

from p2pgan.errors import InternalError, RunError
from p2pgan.protocol.effects import UnitClaim
from p2pgan.protocol.events import EpochDone, LeaseRead, PeerInfo, PeersRead, ProgressRead
from p2pgan.protocol.ids import PeerId, VersionRecord
from p2pgan.protocol.units import MOST_UNITS_ON_THE_WAY

RESERVE_S = 2.0
"""Head start of a named successor."""
LIVE_S = 15.0
"""A peer not seen for this long counts as gone."""
FORGOTTEN_S = 3600.0
"""A lost peer may speak again within this time without registering anew."""

PRESENT = ("joining", "active")


@dataclass
class PeerEntry:
    """A row of the table of peers."""

    state: str
    address: str
    last_seen: float


class ModelRendezvous:
    """State and rules of one run; time is passed in by the caller."""

    def __init__(self, genesis: str, images: int, unit_images: int) -> None:
        self._genesis, self._images, self._unit_images = genesis, images, unit_images
        self.term = 0
        self.holder: PeerId | None = None
        self._expires_at = 0.0
        self._successor: PeerId | None = None
        self._reserved_until = 0.0
        self.finished = False
        self.generation = 0
        self.peers: dict[PeerId, PeerEntry] = {}
        self._read: PeersRead | None = None
        """The last answer of ``read_peers``, until a row changes or time makes a difference."""
        self._read_until = 0.0
        self.history: list[VersionRecord] = []
        self._digests: dict[int, str] = {0: genesis}
        self._done: dict[int, list[tuple[int, int]]] = {}
        """epoch begun, in order -> ranges counted, merged and in order"""

    @property
    def version(self) -> int:
        return self.history[-1].version if self.history else 0

    @property
    def digest(self) -> str:
        return self.history[-1].digest if self.history else self._genesis

    @property
    def images(self) -> int:
        return self.history[-1].images if self.history else 0

    # -- peers -------------------------------------------------------------------------------

    def register(self, peer: PeerId, address: str, now: float) -> None:
        if self.finished:
            raise RunError("the run has finished: nobody can join it")
        before = self.peers.get(peer)
        if before is None or (before.state, before.address) != ("joining", address):
            self.generation += 1
        self._read = None
        self.peers[peer] = PeerEntry("joining", address, now)
        if before is None:
            self.peers = dict(sorted(self.peers.items()))

    def leave(self, peer: PeerId) -> None:
        if peer in self.peers:  # it may not have got so far as to register
            self._enter(self.peers[peer], "left")

    def _enter(self, entry: PeerEntry, state: str) -> None:
        self._read = None
        if entry.state != state:
            entry.state = state
            self.generation += 1

    def roll_up(self, peer: PeerId, term: int, alive: dict[PeerId, bool], now: float) -> bool:
        """The leader's word on who is alive; who left comes back only by its own registration."""
        if not self._holds(peer, term):
            return False
        for name, is_alive in alive.items():
            entry = self.peers.get(name)
            if entry is not None and entry.state != "left":
                self._enter(entry, "active" if is_alive else "lost")
                if is_alive:
                    entry.last_seen = now
        return True

    def read_peers(self, now: float) -> PeersRead:
        """Everyone who may speak."""
        if self._read is None or now >= self._read_until:
            rows, self._read_until = [], inf
            for name, entry in self.peers.items():
                silent, present = now - entry.last_seen, entry.state in PRESENT
                for bound in (LIVE_S, FORGOTTEN_S):
                    if silent <= bound:
                        self._read_until = min(self._read_until, entry.last_seen + bound)
                if present or (entry.state == "lost" and silent < FORGOTTEN_S):
                    rows.append(_info(name, not present or silent > LIVE_S))
            self._read = PeersRead(self.generation, tuple(rows))
        return self._read

    # -- the pen -----------------------------------------------------------------------------

    def read_lease(self, now: float) -> LeaseRead:
        return LeaseRead(self.term, self.holder, self._expires_at - now, self._successor, self.finished)

    def acquire(self, peer: PeerId, ttl_s: float, now: float) -> int | None:
        """The new term, or None: like the atomic update, only one of several gets it."""
        reserved = self._successor not in (None, peer) and now < self._reserved_until
        if now < self._expires_at or reserved or self.finished or peer not in self.peers:
            return None
        self.term += 1
        self.holder, self._expires_at, self._successor = peer, now + ttl_s, None
        return self.term

    def _holds(self, peer: PeerId, term: int) -> bool:
        return self.holder == peer and self.term == term

    def renew(self, peer: PeerId, term: int, ttl_s: float, now: float) -> bool:
        if not self._holds(peer, term):
            return False
        self._expires_at = now + ttl_s
        return True

    def release(
        self, peer: PeerId, term: int, successor: PeerId | None, reserve_s: float, now: float
    ) -> bool:
        if not self._holds(peer, term):
            return False
        self.holder, self._expires_at = None, now
        self._successor, self._reserved_until = successor, now + reserve_s
        return True

    def finish(self, peer: PeerId, term: int) -> bool:
        if self.finished or not self._holds(peer, term):
            return False
        self.finished = True
        return True

    # -- work and weights --------------------------------------------------------------------

    def claim(self, peer: PeerId, term: int, units: tuple[UnitClaim, ...]) -> bool:
        if not self._holds(peer, term):
            return False
        self._open(max((unit.epoch for unit in units if self._near(unit.epoch, self.images)), default=-1))
        return True

    def _near(self, epoch: int, counted: int) -> bool:
        """Whether the work may have come to this epoch when so many images are counted."""
        on_the_way = MOST_UNITS_ON_THE_WAY * min(self._unit_images, self._images)
        return epoch * self._images <= counted + on_the_way + 2 * self._images

    def _open(self, epoch: int) -> None:
        """Begin an epoch and those before it."""
        for number in range(len(self._done), epoch + 1):
            self._done[number] = []

    def progress(self) -> ProgressRead:
        """What is done of the first incomplete epoch and all after it, or of the last one."""
        whole = [(0, self._images)]
        incomplete = (epoch for epoch, done in self._done.items() if done != whole)
        first = next(incomplete, len(self._done) - 1)
        named = [EpochDone(epoch, tuple(done)) for epoch, done in self._done.items() if epoch >= first]
        made_in = self.history[-1].term if self.history else 0
        return ProgressRead(self.term, self.version, self.digest, tuple(named), made_in)

    def commit(
        self, peer: PeerId, term: int, records: tuple[VersionRecord, ...]
    ) -> tuple[str | None, tuple[VersionRecord, ...]]:
        """None, or the reason for a refusal; and what is newly committed: all of it or nothing.

        Raises:
            InternalError: the records contradict themselves or count an image twice.
        """
        last = records[-1]
        if self._digests.get(last.version) == last.digest:
            return None, ()
        if not self._holds(peer, term):
            return f"the pen of term {term} is lost", ()
        fresh = []
        version, digest, images = self.version, self.digest, self.images
        for record in records:
            known = self._digests.get(record.version)
            if known == record.digest:
                continue
            if known is not None:
                return f"version {record.version} is committed with another digest", ()
            if record.version != version + 1 or record.parent_digest != digest:
                return f"version {record.version} does not follow version {version}", ()
            images += sum(c.images for c in record.contributions)
            if record.images != images:
                raise InternalError(f"version {record.version} says {record.images} images, not {images}")
            version, digest = record.version, record.digest
            fresh.append(record)
        counted = self._counted(fresh)
        if not all(self._near(epoch, images) for epoch in counted):
            raise InternalError(f"epoch {max(counted)} is too far ahead of {images} images counted")
        self._open(max(counted, default=-1))
        self._done.update(counted)
        self.history += fresh
        self._digests.update({r.version: r.digest for r in fresh})
        return None, tuple(fresh)

    def _counted(self, records: list[VersionRecord]) -> dict[int, list[tuple[int, int]]]:
        """The epochs that ``records`` touch, with their ranges added."""
        spans = [span for record in records for c in record.contributions for span in c.spans]
        changed = {span.epoch: list(self._done.get(span.epoch, [])) for span in spans}
        for span in spans:
            first = span.unit * self._unit_images
            if not first <= span.start < span.stop <= min(first + self._unit_images, self._images):
                raise InternalError(f"span {span} is outside of its unit")
            changed[span.epoch].append((span.start, span.stop))
        return {epoch: _merged(epoch, ranges) for epoch, ranges in changed.items()}


@cache
def _info(name: PeerId, gone: bool) -> PeerInfo:
    """The same row again and again: a thousand peers read a thousand of them."""
    return PeerInfo(name, True, gone)


def _merged(epoch: int, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start < merged[-1][1]:
            raise InternalError(f"images of epoch {epoch} from {start} on are counted already")
        if merged and start == merged[-1][1]:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged
