"""Brings the schema in a database to this package's version, one numbered file after the other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from psycopg.rows import scalar_row

from p2pgan.errors import InternalError, SchemaMismatch, Trouble
from p2pgan.rendezvous.connection import Line, Session
from p2pgan.rendezvous.queries import QUERIES
from p2pgan.rendezvous.translation import no_schema

_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of the schema."""

    number: int
    name: str
    text: bytes


def packaged_migrations() -> tuple[Migration, ...]:
    """The files of this package, in order; their numbers are 1, 2, 3 and so on."""
    found = []
    for file in files(__package__).joinpath("schema").iterdir():
        if match := _FILE.match(file.name):
            found.append(Migration(int(match[1]), match[2], file.read_bytes()))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise InternalError("the schema's files are not numbered 1, 2, 3 and so on")
    return tuple(found)


def migrate(line: Line, migrations: tuple[Migration, ...] | None = None) -> int:
    """Apply what is missing, all or nothing; returns how many files that was.

    Processes that do it at the same time wait for each other.

    Raises:
        SchemaMismatch: the database is newer than this package.
    """
    known = packaged_migrations() if migrations is None else migrations
    with line.call() as session:
        # Without the lock: somebody who holds it must not keep a leader from a database that is up to date.
        if session.value("find_migrations", {}) and _applied(session, line.place, known) == len(known):
            return 0
    with line.transaction() as session:
        session.rows("lock_migrations", {}, scalar_row)
        if not session.value("find_migrations", {}):
            session.script(QUERIES["create_migrations"])
        missing = known[_applied(session, line.place, known) :]
        for migration in missing:
            session.script(migration.text)
            session.run("record_migration", {"number": migration.number, "name": migration.name})
        if missing and session.value("find_settle_roles", {}):
            session.value("settle_roles", {})
    return len(missing)


def check_schema(line: Line) -> None:
    """Raise SchemaMismatch unless the database has exactly this package's schema."""
    known = packaged_migrations()
    with line.call() as session:
        if not session.value("find_migrations", {}):
            raise no_schema(line.place)
        if (applied := _applied(session, line.place, known)) < len(known):
            raise SchemaMismatch(
                f"the database at {line.place} has schema version {applied} and this p2pgan needs "
                f"{len(known)}: `p2pgan lead` brings it up to date",
                Trouble.RELEASE,
            )


def _applied(session: Session, place: str, known: tuple[Migration, ...]) -> int:
    applied = session.rows("applied_migrations", {}, scalar_row)
    if len(applied) > len(known):
        raise SchemaMismatch(
            f"the database at {place} has schema version {len(applied)} and this p2pgan knows {len(known)}: "
            "install the newer p2pgan",
            Trouble.RELEASE,
        )
    return len(applied)
