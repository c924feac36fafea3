"""The one place where psycopg's exceptions become p2pgan's."""

from __future__ import annotations

from typing import ClassVar

import psycopg

from p2pgan.errors import (
    ConfigError,
    InternalError,
    P2pganError,
    RendezvousRefused,
    RendezvousUnavailable,
    RunError,
    SchemaMismatch,
    Trouble,
)

_WRONG_PASSWORD = "password authentication failed"
"""Also what Postgres says of a login that was revoked (it has no password any more) or dropped."""

# While connecting, libpq gives no SQLSTATE but only the server's words.
_REFUSALS = {
    _WRONG_PASSWORD: ("wrong user or password", Trouble.DATABASE_PASSWORD),
    "no password supplied": (
        "it asks for a password: put one into the DSN or ~/.pgpass",
        Trouble.DATABASE_PASSWORD,
    ),
    "pg_hba.conf": (
        "its access rules (pg_hba.conf) do not admit this user from this address",
        Trouble.DATABASE_ROLE,
    ),
    "authentication failed": ("it did not accept this user", Trouble.DATABASE_ROLE),
    "is not permitted to log in": (
        "this login was revoked: ask whoever invited you",
        Trouble.DATABASE_ROLE,
    ),
    "role ": ("no such user", Trouble.DATABASE_ROLE),
    "database ": ("no such database: create it, or correct the DSN", Trouble.DATABASE_NAME),
    "definition of service": ("no such service in pg_service.conf", Trouble.DATABASE_NAME),
    "server does not support SSL": ("it has no TLS: remove sslmode from the DSN", Trouble.DATABASE_TLS),
    "permission denied for database": (
        "this user may not connect to this database",
        Trouble.DATABASE_ROLE,
    ),
}
# Words of libpq where there is no answer, or none that it understands.
_UNREACHED = {
    "could not translate host name": Trouble.DATABASE_NAME,
    "failed to resolve host": Trouble.DATABASE_NAME,
    "certificate": Trouble.DATABASE_TLS,
    "SSL": Trouble.DATABASE_TLS,
}
_NEEDS_MISSING = ("role ", "database ")

_SCHEMA_STATES = {"42P01", "3F000", "42883", "42703", "42704"}
_REFUSED_CLASSES = {"28", "3D"}
_PASSING_CLASSES = {"08", "40", "53", "55", "57", "58"}
_PASSING_STATES = {"25006", "25P03"}
"""A standby that may become the primary; a session cut off for idling in a transaction."""

SOON = "if it was started just now, try again in a few seconds"
"""What may be missing because its leader is still about to make it."""


class NotYet(P2pganError):
    """Something that a leader makes is missing; waiting may help."""

    what: ClassVar[str]
    """The missing thing."""


class NoCluster(ConfigError, NotYet):
    """There is no embedded Postgres in a folder."""

    what = "the embedded Postgres"


class NoSchema(SchemaMismatch, NotYet):
    """Nobody has led a run in a database."""

    what = "its tables"


class NoRun(RunError, NotYet):
    """There is no run at all."""

    what = "the run"


_COUNTED_TWICE = "23P01"
"""An exclusion constraint was violated; the schema's only one keeps images from counting twice."""


def first_line(error: psycopg.Error) -> str:
    """The error's text without hints and context."""
    text = error.diag.message_primary or str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def invalid_dsn() -> RendezvousRefused:
    """The error for a DSN that cannot be read; it repeats nothing, for anything may be the password."""
    return RendezvousRefused(
        "the rendezvous is not a valid DSN: try postgresql://user:password@host/database, "
        "and in user and password write %40 for @, %2F for /, %3A for : and %25 for %"
    )


def translate_connect(error: psycopg.Error, place: str, was_in: bool = False) -> P2pganError:
    """The p2pgan error for a connection to ``place`` (host and port, no secrets) that failed.

    ``was_in``: the same user and password were good before.
    """
    if isinstance(error, psycopg.ProgrammingError):
        return invalid_dsn()
    text = str(error)
    if was_in and _WRONG_PASSWORD in text:
        return RendezvousRefused(
            f"the database at {place} refuses: this login was revoked, or has a new password: "
            "ask whoever invited you",
            Trouble.DATABASE_PASSWORD,
        )
    for words, (advice, trouble) in _REFUSALS.items():
        if words in text and (words not in _NEEDS_MISSING or "does not exist" in text):
            return RendezvousRefused(f"the database at {place} refuses: {advice}", trouble)
    trouble = next((about for words, about in _UNREACHED.items() if words in text), Trouble.DATABASE_PORT)
    return RendezvousUnavailable(f"the database at {place} cannot be reached: {first_line(error)}", trouble)


def lacks_schema(error: psycopg.Error) -> bool:
    """Whether a statement failed because a table, a function or the like is not there."""
    return error.sqlstate in _SCHEMA_STATES


def no_schema(place: str) -> NoSchema:
    """The error for a database that nobody has led a run in."""
    text = f"the database at {place} has no p2pgan schema yet: `p2pgan lead` makes it; {SOON}"
    return NoSchema(text, Trouble.NOT_STARTED)


def translate_call(error: psycopg.Error, place: str) -> P2pganError:
    """The p2pgan error for a statement that failed."""
    state = error.sqlstate
    if state is None:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return RendezvousUnavailable(
                f"the connection to the database at {place} broke: {first_line(error)}"
            )
        return InternalError(f"database call: {first_line(error)}")
    if lacks_schema(error):
        return SchemaMismatch(
            f"the database at {place} lacks part of p2pgan's schema ({first_line(error)}): "
            "`p2pgan lead` makes it"
        )
    if state == "42501" or state[:2] in _REFUSED_CLASSES:
        return RendezvousRefused(f"the database at {place} refuses: {first_line(error)}")
    if state in _PASSING_STATES or state[:2] in _PASSING_CLASSES:
        return RendezvousUnavailable(
            f"the database at {place} did not answer as it should: {first_line(error)}"
        )
    if state == _COUNTED_TWICE:
        return InternalError(f"the commit would count images twice: {error.diag.message_detail}")
    return InternalError(f"database call ({state}): {first_line(error)}")
