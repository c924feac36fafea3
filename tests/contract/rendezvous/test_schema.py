from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from p2pgan.errors import SchemaMismatch
from p2pgan.rendezvous import Rendezvous
from p2pgan.rendezvous.connection import Limits, Line
from p2pgan.rendezvous.migrations import migrate, packaged_migrations

CATALOG = [
    """select table_name, column_name, ordinal_position, data_type, is_nullable, column_default
       from information_schema.columns where table_schema = 'p2pgan'""",
    "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
    "where connamespace = n",
    "select tablename, indexname, indexdef from pg_indexes where schemaname = 'p2pgan'",
    "select proname, pg_get_functiondef(oid) from pg_proc where pronamespace = n",
    "select tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "select typname, enumlabel from pg_enum join pg_type t on t.oid = enumtypid where typnamespace = n",
    "select attrelid::regclass::text, attname, attstorage from pg_attribute join pg_class c "
    "on c.oid = attrelid where relnamespace = n and attnum > 0",
    "select relname, reloptions from pg_class where relnamespace = n",
    # Who owns what, and who may do what with it.
    "select nspname, nspowner::regrole, nspacl::text[] from pg_namespace where oid = n",
    "select relname, relowner::regrole, relacl::text[], relrowsecurity from pg_class where relnamespace = n",
    "select attrelid::regclass::text, attname, attacl::text[] from pg_attribute join pg_class c "
    "on c.oid = attrelid where relnamespace = n and attacl is not null",
    "select oid::regprocedure::text, proowner::regrole, proacl::text[] from pg_proc where pronamespace = n",
    "select tablename, policyname, roles::text[], cmd, qual, with_check from pg_policies "
    "where schemaname = 'p2pgan'",
]


def catalog(dsn: str) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(dsn) as connection:
        return [
            sorted(connection.execute(query.replace("= n", "= 'p2pgan'::regnamespace")).fetchall(), key=repr)
            for query in CATALOG
        ]


def test_a_database_migrated_step_by_step_is_like_a_fresh_one(fresh_dsn: str, fresh: Rendezvous) -> None:
    at_once = catalog(fresh_dsn)
    assert all(at_once)
    with psycopg.connect(fresh_dsn) as connection:
        connection.execute("drop schema p2pgan cascade")
    line = Line(fresh_dsn, Limits(statement="30s", lock="5s"))
    known = packaged_migrations()
    for step in range(1, len(known) + 1):
        assert migrate(line, known[:step]) == 1
    line.close()
    assert catalog(fresh_dsn) == at_once
    assert fresh.migrate() == 0


def test_the_room_of_pruned_chunks_is_used_again_soon(fresh_dsn: str, fresh: Rendezvous) -> None:
    with psycopg.connect(fresh_dsn) as connection:
        rows = connection.execute(
            "select c.reloptions, t.reloptions from pg_class c join pg_class t on t.oid = c.reltoastrelid"
            " where c.oid = 'p2pgan.chunks'::regclass"
        ).fetchall()
    ((table, out_of_line),) = rows
    for options, dead in ((table, 64), (out_of_line, 33664)):
        assert set(options) == {
            "autovacuum_vacuum_scale_factor=0",
            f"autovacuum_vacuum_threshold={dead}",
            "autovacuum_vacuum_cost_delay=0",
        }


def test_several_migrate_at_once(fresh_dsn: str) -> None:
    lines = [Rendezvous(fresh_dsn) for _ in range(4)]
    with ThreadPoolExecutor(len(lines)) as pool:
        steps = list(pool.map(Rendezvous.migrate, lines))
    assert sorted(steps) == [0, 0, 0, len(packaged_migrations())]
    for line in lines:
        line.check_schema()
        line.close()


def test_an_empty_database_names_the_way_to_a_schema_whatever_is_asked(fresh_dsn: str) -> None:
    with Rendezvous(fresh_dsn) as rendezvous:
        calls = (
            rendezvous.check_schema,
            rendezvous.list_runs,
            rendezvous.list_logins,
            lambda: rendezvous.find_run("gan"),
            lambda: rendezvous.invite("alice", "here"),
            lambda: rendezvous.revoke("alice"),
            lambda: rendezvous.read_lease(1),
        )
        for call in calls:
            with pytest.raises(SchemaMismatch, match="no p2pgan schema yet: `p2pgan lead` makes it; .*try"):
                call()


def test_a_schema_with_a_gap_names_what_is_missing(fresh_dsn: str, fresh: Rendezvous) -> None:
    with psycopg.connect(fresh_dsn) as connection:
        connection.execute("drop table p2pgan.samples")
    with pytest.raises(SchemaMismatch, match=r"lacks part of p2pgan's schema \(relation .samples. does not"):
        fresh.samples(1)


def test_an_older_schema_is_refused_until_it_is_migrated(fresh_dsn: str) -> None:
    line = Line(fresh_dsn, Limits(statement="30s", lock="5s"))
    migrate(line, packaged_migrations()[:1])
    line.close()
    with Rendezvous(fresh_dsn) as rendezvous:
        with pytest.raises(SchemaMismatch, match="has schema version 1 and this p2pgan needs"):
            rendezvous.check_schema()
        rendezvous.migrate()
        rendezvous.check_schema()


def test_a_newer_schema_is_refused(fresh_dsn: str, fresh: Rendezvous) -> None:
    with psycopg.connect(fresh_dsn) as connection:
        connection.execute("insert into p2pgan.migrations (number, name) values (99, 'from the future')")
    for call in (fresh.migrate, fresh.check_schema):
        with pytest.raises(SchemaMismatch, match="install the newer p2pgan"):
            call()
