"""The rendezvous as one object: every call is one short transaction in Postgres."""

from __future__ import annotations

from types import TracebackType

from p2pgan.rendezvous import migrations
from p2pgan.rendezvous.leases import LeaseCalls
from p2pgan.rendezvous.peers import PeerCalls
from p2pgan.rendezvous.reports import ReportCalls
from p2pgan.rendezvous.runs import RunCalls
from p2pgan.rendezvous.weights import WeightCalls


class Rendezvous(RunCalls, PeerCalls, LeaseCalls, WeightCalls, ReportCalls):
    """The database where the peers meet; safe to share between threads.

    It holds at most two connections: one for the lease, one for everything else. After a
    failure the next call connects again by itself.

    Every call may raise RendezvousUnavailable (try again later), RendezvousRefused (address,
    password or rights are wrong) or SchemaMismatch.
    """

    def migrate(self) -> int:
        """Bring the schema up to this package's version; returns how many steps that took."""
        return migrations.migrate(self._line)

    def check_schema(self) -> None:
        """Raise SchemaMismatch unless the schema is of this package's version."""
        migrations.check_schema(self._line)

    def close(self) -> None:
        """Hang up."""
        self._line.close()
        self._lease_line.close()

    def __enter__(self) -> Rendezvous:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
