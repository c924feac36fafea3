"""A line to the database: one connection that is made when needed and again after a failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import RowFactory, TupleRow, tuple_row

from p2pgan.errors import InternalError, P2pganError
from p2pgan.rendezvous.dsn import place_of
from p2pgan.rendezvous.queries import QUERIES
from p2pgan.rendezvous.translation import lacks_schema, no_schema, translate_call, translate_connect

Parameters = Mapping[str, object]
Row = TypeVar("Row")

_SETTINGS: dict[str, str | int] = {
    "application_name": "p2pgan",
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A database whose machine is gone is noticed in about ten seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the server lets a statement run and wait for locks, as Postgres writes durations."""

    statement: str
    lock: str


@dataclass(frozen=True, slots=True)
class Address:
    """Host (or folder of a socket), port and database of a connection, and whether it is under TLS."""

    host: str
    port: int
    database: str
    tls: bool


class Session:
    """Runs named queries on one live connection."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection

    def run(self, query: str, parameters: Parameters) -> int:
        """Execute a query for its effect; how many rows it touched."""
        return self._connection.execute(QUERIES[query], parameters).rowcount

    def script(self, text: bytes) -> None:
        """Execute several statements without parameters."""
        self._connection.execute(text)

    def rows(
        self, query: str, parameters: Parameters, factory: RowFactory[Row], binary: bool = False
    ) -> list[Row]:
        """All rows of a query, each made by ``factory``."""
        with self._connection.cursor(row_factory=factory, binary=binary) as cursor:
            return cursor.execute(QUERIES[query], parameters).fetchall()

    def row(
        self, query: str, parameters: Parameters, factory: RowFactory[Row], binary: bool = False
    ) -> Row | None:
        """The only row of a query, or None."""
        found = self.rows(query, parameters, factory, binary)
        if len(found) > 1:
            raise InternalError(f"query {query} gave {len(found)} rows instead of one")
        return found[0] if found else None

    def scram_verifier(self, login: str, password: str) -> str:
        """What the server keeps instead of the password, so that the password itself never gets there."""
        made = self._connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256")
        return made.decode()

    def address(self) -> Address:
        """Where this connection leads, as it came to be: the DSN, the environment and defaults together."""
        info = self._connection.info
        return Address(info.host, info.port, info.dbname, self._connection.pgconn.ssl_in_use)

    def value(self, query: str, parameters: Parameters) -> object:
        """The only column of the only row of a query, or None if there is no row."""
        row = self.row(query, parameters, tuple_row)
        return row[0] if row else None


class Line:
    """One connection to ``dsn``; calls from several threads take turns. A read-only one changes nothing."""

    def __init__(self, dsn: str, limits: Limits, read_only: bool = False) -> None:
        self._dsn = dsn
        self._read_only = read_only
        self._limits = limits
        self._turn = threading.Lock()
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._was_in = False
        self.place = place_of(dsn)

    @contextmanager
    def call(self) -> Iterator[Session]:
        """A session in which every statement is a transaction of its own.

        Raises:
            RendezvousUnavailable: the database cannot be reached; the next call connects again.
            RendezvousRefused: it does not let us in, or not do this.
            SchemaMismatch: it lacks tables or functions of p2pgan.
        """
        with self._turn:
            connection = self._connected()
            try:
                yield Session(connection)
            except psycopg.Error as error:
                raise self._explained(connection, error) from error
            finally:
                if connection.closed or connection.broken:
                    self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose statements take effect together, when the block ends without an error."""
        with self.call() as session, cast("psycopg.Connection[TupleRow]", self._connection).transaction():
            yield session

    @contextmanager
    def rehearsal(self) -> Iterator[Session]:
        """A session whose statements give their answers, and are all taken back when the block ends."""
        with self.call() as session:
            connection = cast("psycopg.Connection[TupleRow]", self._connection)
            with connection.transaction(force_rollback=True):
                yield session

    def close(self) -> None:
        """Hang up, once the call in progress is through; a later call connects again."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _explained(self, connection: psycopg.Connection[TupleRow], error: psycopg.Error) -> P2pganError:
        """The p2pgan error; where something of the schema is missing, it says whether all of it is."""
        if lacks_schema(error):
            try:
                found = Session(connection).value("find_migrations", {})
            except psycopg.Error as second:  # the table is hidden from this user, or the line broke
                return translate_call(second, self.place)
            if not found:
                return no_schema(self.place)
        return translate_call(error, self.place)

    def _connected(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> psycopg.Connection[TupleRow]:
        try:
            connection = psycopg.connect(
                make_conninfo(self._dsn, **_SETTINGS),
                autocommit=True,
                prepare_threshold=None,  # a pooler may answer from a session that did not prepare it
            )
        except psycopg.Error as error:
            # The chain is cut: the original may carry the DSN's password into a traceback.
            raise translate_connect(error, self.place, self._was_in) from None
        self._was_in = True
        try:
            connection.execute(
                QUERIES["settle_session"],
                {
                    "statement_timeout": self._limits.statement,
                    "lock_timeout": self._limits.lock,
                    "read_only": "on" if self._read_only else "off",
                },
            )
        except psycopg.Error as error:
            connection.close()
            raise translate_call(error, self.place) from error
        return connection
