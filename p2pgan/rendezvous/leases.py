"""Calls about the pen. All times are the database's; a holder counts its own time from before the call."""

from __future__ import annotations

from typing import cast

from psycopg.rows import class_row

from p2pgan.errors import RunError
from p2pgan.protocol.ids import PeerId
from p2pgan.rendezvous.calls import Calls
from p2pgan.rendezvous.rows import LeaseRow, Renewal


class LeaseCalls(Calls):
    """Taking, keeping and passing on a run's pen."""

    def read_lease(self, run_id: int) -> LeaseRow:
        """The lease as it stands."""
        with self._lease_line.call() as session:
            lease = session.row("read_lease", {"run_id": run_id}, class_row(LeaseRow))
        if lease is None:
            raise RunError("the run does not exist")
        return lease

    def acquire_lease(self, run_id: int, peer: PeerId, ttl_s: float) -> LeaseRow | None:
        """Take the pen if it is free, in a new term.

        Returns:
            The lease, or None: somebody holds it, it is reserved for somebody else, the run has
            finished, or this peer is not registered as one that can lead.
        """
        parameters = {"run_id": run_id, "peer": peer, "ttl_s": ttl_s}
        with self._lease_line.call() as session:
            return session.row("acquire_lease", parameters, class_row(LeaseRow))

    def renew_lease(self, run_id: int, peer: PeerId, term: int, ttl_s: float) -> Renewal | None:
        """Hold the pen for another ``ttl_s`` seconds, even if the lease ran out and nobody took it.

        Returns:
            None if the pen is lost: this term is over.
        """
        parameters = {"run_id": run_id, "peer": peer, "term": term, "ttl_s": ttl_s}
        with self._lease_line.call() as session:
            return session.row("renew_lease", parameters, class_row(Renewal))

    def release_lease(
        self, run_id: int, peer: PeerId, term: int, successor: PeerId | None = None, reserve_s: float = 0.0
    ) -> bool:
        """Lay down the pen; for ``reserve_s`` seconds only ``successor``, if any, can take it.

        Returns:
            False if this peer did not hold it in this term.
        """
        parameters = {
            "run_id": run_id,
            "peer": peer,
            "term": term,
            "successor": successor,
            "reserve_s": reserve_s,
        }
        with self._lease_line.call() as session:
            return cast(bool, session.value("release_lease", parameters))
