"""What the groups of rendezvous calls share: two lines to the database."""

from __future__ import annotations

from p2pgan.rendezvous.connection import Limits, Line

_LIMITS = Limits(statement="30s", lock="5s")
_LEASE_LIMITS = Limits(statement="3s", lock="2s")


class Calls:
    """Base of the groups; ``dsn`` is any libpq DSN or URI. Nothing is connected before the first call."""

    def __init__(self, dsn: str, read_only: bool = False) -> None:
        self._line = Line(dsn, _LIMITS, read_only)
        # Of its own, so that renewing the pen never waits behind the transfer of a snapshot.
        self._lease_line = Line(dsn, _LEASE_LIMITS, read_only)
