"""Who holds the pen: the lease row decides, this part asks it, waits for it and gives it up.

::

    FOLLOWER --lease acquired--> GATHERING --reports are in, weights agreed--> LEADING
        ^------------- lost, released, or a higher term in the row -------------'
"""

from __future__ import annotations

from enum import StrEnum

from p2pgan.protocol.core import Core
from p2pgan.protocol.effects import AcquireLease, Finish, ReadLease, ReleaseLease, RenewLease
from p2pgan.protocol.events import LeaseAcquired, LeaseRead, LeaseRenewed
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.shares import by_rendezvous_hash

STAGGER_S = 0.3
"""Head start of each candidate over the next in rendezvous-hash order."""
NO_WEIGHTS_DELAY_S = 1.0
"""A candidate without weights lets those that have them go first."""
WALLED_DELAY_S = 8.0
"""A candidate whom nobody can dial leaves the pen to the others, who must miss their leader first."""
RETRY_S = 1.0
"""After the database failed."""


class Role(StrEnum):
    """What a peer is in the present term."""

    FOLLOWER = "follower"
    GATHERING = "gathering"
    LEADING = "leading"


class Leadership:
    """The lease: reading, acquiring, renewing, releasing."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.role = Role.FOLLOWER
        self._asking = False
        """A read or an acquisition is under way."""
        self._next_poll = 0.0
        self._expired_since: float | None = None
        self._requested_at = 0.0
        self.trusted_until = 0.0
        """On this peer's clock."""
        self._next_renewal = 0.0
        self._renewing = False
        self.releasing = False
        self._named = True
        """The log has said who leads."""
        self.database_failed = False
        """The last renewal did not reach the database."""

    @property
    def is_leader(self) -> bool:
        return self.role is not Role.FOLLOWER

    @property
    def trusted(self) -> bool:
        """The lease holds by this peer's own clock, counted from before the request."""
        return self.is_leader and self._core.now < self.trusted_until

    @property
    def may_decide(self) -> bool:
        """Rounds go on under a trusted lease, and under the last one while the database is away."""
        return self.trusted or (self.is_leader and self.database_failed)

    # -- looking at the row ------------------------------------------------------------------

    def look(self) -> None:
        """Something suggests that the row has changed: read it now."""
        self._next_poll = 0.0
        self._poll()

    def _poll(self) -> None:
        core = self._core
        if not self._asking and core.now >= self._next_poll:
            self._asking = True
            self._next_poll = core.now + core.config.poll_s
            core.emit(ReadLease())

    def tick(self) -> None:
        core = self._core
        self._name_leader()
        if self.is_leader:
            if not self._renewing and not self.releasing and core.now >= self._next_renewal:
                self._renewing = True
                self._requested_at = core.now
                core.emit(RenewLease(core.term))
        elif self.leader_is_silent() or not self._leader_holds_lease():
            self._poll()

    def leader_is_silent(self) -> bool:
        """No heartbeat of the leader arrives, or nobody is known to lead."""
        core = self._core
        return core.leader is None or not core.heard_within(core.leader, core.config.silence_s)

    def _leader_holds_lease(self) -> bool:
        """As the leader says in its heartbeats."""
        view = self._core.peers.get(self._core.leader or "")
        return view is not None and view.beat is not None and view.beat.lease_held

    def lease_read(self, event: LeaseRead) -> None:
        core = self._core
        self._asking = False
        if event.finished:
            core.finished = True
            core.emit(Finish("the run has reached its goal"))
            return
        self._adopt(event.term, event.holder)
        if not self.is_leader:
            self._stand(event)

    def _adopt(self, term: int, holder: PeerId | None) -> None:
        """A term is believed only when it comes from the lease row."""
        core = self._core
        if term > core.term:
            if self.is_leader:
                self.step_down(f"the lease row carries term {term}")
            core.term, core.leader = term, holder
            self._named = holder is None
            self._name_leader()
        elif term == core.term and holder != core.leader and not self.is_leader:
            core.leader = holder

    def _name_leader(self) -> None:
        """Say who leads, once the table of peers says what it is called."""
        core = self._core
        if not self._named and core.leader in core.peers:
            self._named = True
            core.note("leader", f"{core.name(core.leader)} holds the pen of term {core.term}")

    def _stand(self, row: LeaseRead) -> None:
        """Take the lease when it is free, each candidate after its own delay."""
        core = self._core
        if not core.can_lead or core.leaving:
            return
        if row.successor == core.me:
            self._acquire("named as successor: asking for the pen")
            return
        if row.expires_in_s > 0:
            self._expired_since = None
            return
        if self._expired_since is None:
            self._expired_since = core.now
        if core.now - self._expired_since >= self._delay():
            self._acquire(self._why_free(row))

    def _why_free(self, row: LeaseRead) -> str:
        if row.term == 0:
            return "no one holds the pen yet: asking for it"
        if row.holder is None:
            return "the pen was laid down: asking for it"
        return f"the lease of {self._core.name(row.holder)} has run out: asking for the pen"

    def _delay(self) -> float:
        core = self._core
        candidates = [core.me, *(p for p in core.alive() if core.peers[p].info.can_lead)]
        order = by_rendezvous_hash(core.run, core.term + 1, candidates)
        delay = order.index(core.me) * STAGGER_S
        if not core.has_weights and len(candidates) > 1:
            delay += NO_WEIGHTS_DELAY_S
        if not self.leader_is_silent():
            delay += core.config.takeover_grace_s
        if core.walled:
            delay += WALLED_DELAY_S
        return delay

    def _acquire(self, text: str) -> None:
        core = self._core
        self._asking = True
        self._requested_at = core.now
        core.note("leader", text)
        core.emit(AcquireLease())

    # -- holding it --------------------------------------------------------------------------

    def acquired(self, event: LeaseAcquired) -> None:
        core = self._core
        self._asking = self._renewing = self.releasing = self.database_failed = False
        self._expired_since = None
        self.role = Role.GATHERING
        core.term, core.leader = event.term, core.me
        self._named = True
        self._trust()
        core.note("leader", f"this peer holds the pen of term {event.term}")

    def _trust(self) -> None:
        config = self._core.config
        self.trusted_until = self._requested_at + config.ttl_s - config.margin_s
        self._next_renewal = self._requested_at + config.renew_s

    def refused(self) -> None:
        self._asking = False
        self._expired_since = None

    def renewed(self, event: LeaseRenewed) -> None:
        if self.is_leader and event.term == self._core.term:
            self._renewing = False
            self.database_failed = False
            self._trust()

    def lost(self, term: int) -> None:
        if self.is_leader and term == self._core.term:
            self._core.leader = None
            self.step_down("the lease is another's")
            self.look()

    def release(self, successor: PeerId | None) -> None:
        """Give the pen away; from here on this peer decides nothing."""
        self.releasing = True
        # Whether the row still names this peer, its answer says, or else the next renewal.
        self.trusted_until = 0.0
        self._core.emit(ReleaseLease(self._core.term, successor))

    def released(self, term: int) -> None:
        if self.is_leader and term == self._core.term:
            self._core.leader = None
            self.step_down("the pen was handed over")
            self._next_poll = self._core.now + self._core.config.poll_s

    def step_down(self, reason: str) -> None:
        self._core.note("leader", f"no longer leader of term {self._core.term}: {reason}")
        self.role = Role.FOLLOWER
        self.releasing = self._renewing = self._asking = False
        self.trusted_until = 0.0

    def failed(self, operation: str) -> None:
        """The database could not be reached for an operation of the lease."""
        retry_at = self._core.now + RETRY_S
        if operation in ("ReadLease", "AcquireLease"):
            self._asking = False
            self._next_poll = retry_at
        elif operation == "RenewLease" and self.is_leader:
            self._renewing = False
            self._next_renewal = retry_at
            if not self.database_failed:
                self._core.note("database", "cannot be reached; rounds go on, commits wait")
            self.database_failed = True
        elif operation == "ReleaseLease":
            self.releasing = False
            self._next_renewal = self._core.now
