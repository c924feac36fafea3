"""What a DSN says about the way to the database, and DSNs for others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from p2pgan.errors import ConfigError, RendezvousRefused
from p2pgan.rendezvous.translation import invalid_dsn

_URI = ("postgresql://", "postgres://")
_WITH_TLS = {"require", "verify-ca", "verify-full"}
"""With the other modes whoever is on the way can have the connection made without TLS."""


def parse_dsn(dsn: str) -> Mapping[str, object]:
    """The parts of a DSN by libpq's names.

    Raises:
        RendezvousRefused: not a valid DSN, or one in whose user or password libpq saw the end of it.
    """
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        # The chain is cut here and below: libpq's words repeat parts of the DSN.
        raise invalid_dsn() from None
    if _is_torn(dsn, parts):
        raise invalid_dsn()
    return parts


def place_of(dsn: str) -> str:
    """Host, port and database of a DSN, for messages: nothing secret. Raises as ``parse_dsn`` does."""
    parts = parse_dsn(dsn)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or parts.get('user') or ''}".rstrip("/")


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine: loopback, a socket, or nothing."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_without_tls(dsn: str) -> str | None:
    """The first host of ``dsn`` that is another machine, if the DSN does not insist on TLS.

    A DSN that is not valid has none: connecting says what is wrong with it.
    """
    try:
        parts = parse_dsn(dsn)
    except RendezvousRefused:
        return None
    if _said(parts, "sslmode", "PGSSLMODE") in _WITH_TLS:
        return None
    hosts = _said(parts, "hostaddr", "PGHOSTADDR") or _said(parts, "host", "PGHOST")
    return next((host for host in hosts.split(",") if not is_local(host)), None)


def only_from_here(dsn: str) -> bool:
    """Whether all hosts of ``dsn`` are this machine."""
    return all(is_local(host) for host in str(parse_dsn(dsn).get("host") or "").split(","))


def tcp_address(dsn: str) -> tuple[str, int]:
    """Where a DSN leads to. Raises ConfigError unless it names one host that is dialled by TCP."""
    parts = parse_dsn(dsn)
    host, port = str(parts.get("hostaddr") or parts.get("host") or ""), str(parts.get("port") or 5432)
    if not host or host.startswith(("/", "@")) or "," in host + port:
        raise ConfigError("the DSN must name one host that is reached by TCP, such as host=127.0.0.1")
    return host, int(port)


def redirected(dsn: str, host: str, port: int) -> str:
    """The DSN with another address to dial; ``host`` is an IP address."""
    return make_conninfo(dsn, host=host, hostaddr=host, port=port)


def guest_dsn(login: str, password: str, host: str, port: int, database: str, tls: bool) -> str:
    """A DSN for somebody else, as a URI; ``tls`` makes it insist on TLS."""
    place = f"[{host}]" if ":" in host else host
    mode = "?sslmode=require" if tls else ""
    return f"postgresql://{quote(login)}:{quote(password)}@{place}:{port}/{quote(database, safe='')}{mode}"


def _said(parts: Mapping[str, object], key: str, variable: str) -> str:
    return str(parts.get(key) or os.environ.get(variable) or "")


def _is_torn(dsn: str, parts: Mapping[str, object]) -> bool:
    """Whether pieces of a password may be in the other parts.

    libpq ends a URI's password at the first ``@``, and its address at the first ``/``, whatever was
    meant: what is left of the password becomes part of the host, the port or the database. These three
    then hold an ``@`` as it stands in the URI, or the port is no number.
    """
    host, port, database = (str(parts.get(key) or "") for key in ("host", "port", "dbname"))
    if not dsn.startswith(_URI):
        return "://" in database
    if f"?host={host}" in dsn or f"&host={host}" in dsn:  # said by name, such as an abstract socket's
        host = ""
    return not re.fullmatch(r"[0-9,]*", port) or any("@" in part and part in dsn for part in (host, database))
