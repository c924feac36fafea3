from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from p2pgan.cli.main import run
from p2pgan.cli.warnings import warn_without_tls
from p2pgan.errors import ConfigError, RendezvousRefused
from p2pgan.rendezvous.dsn import (
    guest_dsn,
    host_without_tls,
    only_from_here,
    parse_dsn,
    place_of,
    redirected,
    tcp_address,
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("dsn", "host"),
    [
        ("postgresql://me:secret@db.example.org/gan", "db.example.org"),
        ("postgresql://me@db.example.org/gan?sslmode=prefer", "db.example.org"),
        ("host=192.0.2.7 dbname=gan sslmode=disable", "192.0.2.7"),
        ("host=localhost hostaddr=192.0.2.7 dbname=gan", "192.0.2.7"),
        ("postgresql://me@localhost,db.example.org/gan", "db.example.org"),
        ("postgresql://me@db.example.org/gan?sslmode=require", None),
        ("postgresql://me@db.example.org/gan?sslmode=verify-full", None),
        ("postgresql://me@localhost/gan", None),
        ("postgresql://me@127.0.0.1:5433/gan", None),
        ("postgresql://me@[::1]/gan", None),
        ("host=/var/run/postgresql dbname=gan", None),
        ("dbname=gan", None),
        ("not a dsn", None),
    ],
)
def test_the_host_to_which_the_way_is_open(dsn: str, host: str | None) -> None:
    assert host_without_tls(dsn) == host


def test_the_environment_counts_as_it_does_for_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert host_without_tls("dbname=gan") == "db.example.org"
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert host_without_tls("dbname=gan") is None


def test_the_warning_is_one_line_without_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    warn_without_tls("postgresql://me:secret@db.example.org/gan")
    warn_without_tls("postgresql://me:secret@127.0.0.1/gan")
    warn_without_tls("embedded:class")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "db.example.org" in shown.err
    assert "secret" not in shown.err


@pytest.mark.parametrize("host", ["db.example.org", "2001:db8::7"])
@pytest.mark.parametrize("tls", [True, False])
def test_a_guests_dsn_leads_where_it_should(host: str, tls: bool) -> None:
    dsn = guest_dsn("alice", "s_-1", host, 5433, "my gan/1", tls)
    parts = conninfo_to_dict(dsn)
    assert (parts["user"], parts["password"], parts["dbname"]) == ("alice", "s_-1", "my gan/1")
    assert (parts["host"], parts["port"]) == (host, "5433")
    assert (host_without_tls(dsn) is None) is tls
    assert not only_from_here(dsn)
    assert only_from_here(guest_dsn("alice", "x", "127.0.0.1", 5432, "gan", tls))


PASSWORDS = [
    "abc@xyz",
    "abc/xyz",
    "abc/xyz@qrs",
    "abc@xyz/qrs",
    "abc@xyz:qrs",
    "@xyz",
    "abc@",
    "abc?x@yz",
    "abc?x/yz",
    "54321/xyz",
    "abc@xyz,qrs",
    "abc@[xyz",
    "abc%xyz",
    "abc xyz",
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("command", ["status", "join", "lead", "peers"])
def test_no_piece_of_a_password_that_was_not_encoded_is_shown(
    password: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--rendezvous", f"postgresql://me:{password}@db.invalid/gan"]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "not a valid DSN" in shown.err
    assert "%40 for @, %2F for /" in shown.err
    assert not any(piece in shown.out + shown.err for piece in ("abc", "xyz", "qrs", "54321"))


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("class", "or embedded:class for a Postgres"),
        ("~/my/class-1", "or embedded:~/my/class-1 for a Postgres"),
        ("embedded:", "embedded: lacks a folder: write embedded:PATH"),
        ("embedded: ", "embedded: lacks a folder: write embedded:PATH"),
        ("me:abc@db.invalid/gan", "%40 for @"),
    ],
)
@pytest.mark.parametrize("command", [["status"], ["join"], ["generate", "--out", "x.png"]])
def test_a_place_that_is_no_dsn_is_answered_with_one_that_is(
    command: list[str], place: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--rendezvous", place]) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert shown.count("\n") == 1
    assert "abc" not in shown


def test_a_user_with_an_at_sign_is_refused_as_well() -> None:
    with pytest.raises(RendezvousRefused, match="%40 for @"):
        place_of("postgresql://me@server:secret@db.example.org/gan")


@pytest.mark.parametrize(
    ("dsn", "place"),
    [
        ("postgresql://me:a%40b%2Fc:d?e@db.example.org/gan", "db.example.org:5432/gan"),
        ("postgresql://me:s,x@h1:1,h2:2/gan", "h1,h2:1,2/gan"),
        ("postgresql://me@[::1]:5433/my%40gan", "::1:5433/my@gan"),
        ("postgresql:///gan?host=@abstract", "@abstract:5432/gan"),
        ("postgresql://me@db.example.org/gan?application_name=a@b", "db.example.org:5432/gan"),
        ("host=db.example.org password=a@b/c:d dbname=gan", "db.example.org:5432/gan"),
        ("user=me dbname=my@gan", "the local socket:5432/my@gan"),
    ],
)
def test_a_place_has_no_password(dsn: str, place: str) -> None:
    assert place_of(dsn) == place


def test_another_address_to_dial_leaves_the_rest_of_a_dsn() -> None:
    parts = parse_dsn(redirected("postgresql://me:a%40b@db.example.org:5433/gan", "127.0.0.1", 7))
    assert parts == {
        "user": "me",
        "password": "a@b",
        "dbname": "gan",
        "host": "127.0.0.1",
        "hostaddr": "127.0.0.1",
        "port": "7",
    }


def test_a_dsn_that_names_one_host_has_an_address() -> None:
    assert tcp_address("host=db.example.org dbname=gan") == ("db.example.org", 5432)


@pytest.mark.parametrize("dsn", ["dbname=gan", "host=/tmp", "postgresql://h1:1,h2:2/gan"])
def test_a_dsn_without_one_tcp_host_has_no_address(dsn: str) -> None:
    with pytest.raises(ConfigError, match="one host"):
        tcp_address(dsn)
