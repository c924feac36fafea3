"""Calls about the database itself: where it is, how far away, and what this login may do in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Literal, cast

from psycopg.rows import class_row

from p2pgan.errors import InternalError
from p2pgan.rendezvous.calls import Calls
from p2pgan.rendezvous.connection import Address

ROUND_TRIPS = 7

Standing = Literal["trusted", "invited", "reader"]
"""A member of the schema's owner; an invited login; one that was admitted to look only."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server's release, and what the login may do whether p2pgan's tables are there or not."""

    release: str
    login: str
    superuser: bool
    may_invite: bool
    may_create: bool
    """Schemas, and so p2pgan's."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far away the database is, in time."""

    latency_s: float
    """Median of some round trips."""
    clock_ahead_s: float
    """The database's clock less ours, as of the quickest round trip: exact to half of it."""


class CheckupCalls(Calls):
    """What a check-up asks; none of it needs p2pgan's tables."""

    def address(self) -> Address:
        """Where the connection leads, and whether it is under TLS."""
        with self._line.call() as session:
            return session.address()

    def server_facts(self) -> ServerFacts:
        """The server's release and the login's rights."""
        with self._line.call() as session:
            facts = session.row("server_facts", {}, class_row(ServerFacts))
        if facts is None:
            raise InternalError("the database does not know the login that asks")
        return facts

    def standing(self) -> Standing:
        """What the login is in p2pgan's schema; ``reader`` also where there is none."""
        with self._line.call() as session:
            return cast(Standing, session.value("login_standing", {}) or "reader")

    def distance(self) -> Distance:
        """Latency and clock of the database, from ``ROUND_TRIPS`` calls one after the other."""
        trips = []
        with self._line.call() as session:
            for _ in range(ROUND_TRIPS):
                # Two clocks: the wall's may be set while we wait.
                asked_at, began = time.time(), time.monotonic()
                there = cast(float, session.value("read_clock", {}))
                trip_s = time.monotonic() - began
                trips.append((trip_s, there - (asked_at + trip_s / 2)))
        return Distance(median(trip for trip, _ in trips), min(trips)[1])
