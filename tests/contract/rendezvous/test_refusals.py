from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from p2pgan.errors import P2pganError, RendezvousRefused, RendezvousUnavailable, SchemaMismatch
from p2pgan.rendezvous import Rendezvous, open_rendezvous


def complaint(place: str) -> P2pganError:
    with pytest.raises(P2pganError) as caught, open_rendezvous(place) as rendezvous:
        rendezvous.list_runs()
    text = str(caught.value)
    assert "\n" not in text
    assert "secret" not in text
    return caught.value


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "secret"}, "wrong user or password"),
        ({"password": ""}, "asks for a password"),
        ({"user": "nobody-here"}, "wrong user or password"),
        ({"dbname": "not_there"}, "no such database"),
    ],
    ids=str,
)
def test_what_the_server_refuses(server: str, change: dict[str, str], says: str, monkeypatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    error = complaint(make_conninfo(server, **change))
    assert isinstance(error, RendezvousRefused)
    assert says in str(error)
    assert error.exit_code == 2


@pytest.mark.parametrize("dsn", ["postgresql://me:secret@[half", "nonsense=secret", "just words"])
def test_what_is_not_a_dsn(dsn: str) -> None:
    error = complaint(dsn)
    assert isinstance(error, RendezvousRefused)
    assert "not a valid DSN" in str(error)


def test_a_host_that_does_not_resolve(server: str) -> None:
    error = complaint(make_conninfo(server, host="no-such-host.invalid"))
    assert isinstance(error, RendezvousUnavailable)
    assert "no-such-host.invalid" in str(error)


def test_a_port_where_nobody_listens(server: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        error = complaint(make_conninfo(server, port=taken.getsockname()[1]))
    assert isinstance(error, RendezvousUnavailable)
    assert "Connection refused" in str(error)


def test_a_user_without_rights(server: str, rendezvous: Rendezvous) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("drop role if exists onlooker")
        admin.execute("create role onlooker login password 'look'")
    error = complaint(make_conninfo(server, user="onlooker", password="look"))
    # Without the right to its schema Postgres does not even say that the table is there.
    assert isinstance(error, RendezvousRefused | SchemaMismatch)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("grant usage on schema p2pgan to onlooker")
    error = complaint(make_conninfo(server, user="onlooker", password="look"))
    assert isinstance(error, RendezvousRefused)
    assert "permission denied" in str(error)


def test_a_line_that_was_cut_is_made_anew(server: str, fresh_dsn: str, fresh: Rendezvous) -> None:
    assert fresh.list_runs() == ()
    with psycopg.connect(server, autocommit=True) as admin:
        database = conninfo_to_dict(fresh_dsn)["dbname"]
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database])
    with pytest.raises(RendezvousUnavailable):
        fresh.list_runs()
    assert fresh.list_runs() == ()
