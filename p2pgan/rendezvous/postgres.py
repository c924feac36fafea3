"""The rendezvous as one object: every call is one short transaction in Postgres."""

from __future__ import annotations

import re
from types import TracebackType

from p2pgan.errors import ConfigError, RendezvousRefused
from p2pgan.rendezvous import migrations
from p2pgan.rendezvous.checkup import CheckupCalls
from p2pgan.rendezvous.embedded import EmbeddedPostgres
from p2pgan.rendezvous.leases import LeaseCalls
from p2pgan.rendezvous.logins import LoginCalls
from p2pgan.rendezvous.peers import PeerCalls
from p2pgan.rendezvous.reports import ReportCalls
from p2pgan.rendezvous.runs import RunCalls
from p2pgan.rendezvous.views import ViewCalls
from p2pgan.rendezvous.weights import WeightCalls


class Rendezvous(
    RunCalls, PeerCalls, LoginCalls, LeaseCalls, WeightCalls, ReportCalls, ViewCalls, CheckupCalls
):
    """The database where the peers meet; safe to share between threads.

    It holds at most two connections: one for the lease, one for everything else. After a
    failure the next call connects again by itself.

    ``server`` is the embedded Postgres behind ``dsn``, if it is one; closing leaves it. What is
    ``read_only`` can change nothing in the database.

    Every call may raise RendezvousUnavailable (try again later), RendezvousRefused (address,
    password or rights are wrong) or SchemaMismatch.
    """

    def __init__(self, dsn: str, server: EmbeddedPostgres | None = None, read_only: bool = False) -> None:
        super().__init__(dsn, read_only)
        self._server = server

    def migrate(self) -> int:
        """Bring the schema up to this package's version; returns how many steps that took."""
        return migrations.migrate(self._line)

    def check_schema(self) -> None:
        """Raise SchemaMismatch unless the schema is of this package's version."""
        migrations.check_schema(self._line)

    def close(self) -> None:
        """Hang up; the last one to leave an embedded Postgres stops it."""
        self._line.close()
        self._lease_line.close()
        if self._server is not None:
            self._server.leave()

    def __enter__(self) -> Rendezvous:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


EMBEDDED_PREFIX = "embedded:"
_PATH = re.compile(r"[\w./~-]+")
"""No DSN matches it, and nothing with a password: there would be a space, a colon or an equals sign in it."""


def open_rendezvous(place: str, create: bool = False, read_only: bool = False) -> Rendezvous:
    """The rendezvous at ``place``: a libpq DSN or URI, or ``embedded:PATH``.

    An embedded Postgres is started if need be, made if there is none and ``create`` says so, and left
    on close. A DSN is not connected to before the first call.

    Raises:
        RendezvousRefused: not a valid DSN.
        ConfigError, RendezvousUnavailable: the embedded Postgres cannot be used or started.
    """
    if not place.startswith(EMBEDDED_PREFIX):
        if _PATH.fullmatch(place):
            raise RendezvousRefused(
                f"the rendezvous {place} is not a valid DSN: try postgresql://user:password@host/database, "
                f"or {EMBEDDED_PREFIX}{place} for a Postgres of its own in a folder"
            )
        return Rendezvous(place, read_only=read_only)
    folder = place.removeprefix(EMBEDDED_PREFIX)
    if not folder.strip():
        raise ConfigError("embedded: lacks a folder: write embedded:PATH, such as embedded:class")
    server = EmbeddedPostgres(folder)
    return Rendezvous(server.start(create), server, read_only)
