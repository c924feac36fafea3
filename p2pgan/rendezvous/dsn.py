"""What a DSN says about the way to the database, and DSNs for others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

_WITH_TLS = {"require", "verify-ca", "verify-full"}
"""With the other modes whoever is on the way can have the connection made without TLS."""


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
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        return None
    if _said(parts, "sslmode", "PGSSLMODE") in _WITH_TLS:
        return None
    hosts = _said(parts, "hostaddr", "PGHOSTADDR") or _said(parts, "host", "PGHOST")
    return next((host for host in hosts.split(",") if not is_local(host)), None)


def only_from_here(dsn: str) -> bool:
    """Whether all hosts of ``dsn`` are this machine."""
    return all(is_local(host) for host in str(conninfo_to_dict(dsn).get("host") or "").split(","))


def guest_dsn(login: str, password: str, host: str, port: int, database: str, tls: bool) -> str:
    """A DSN for somebody else, as a URI; ``tls`` makes it insist on TLS."""
    place = f"[{host}]" if ":" in host else host
    mode = "?sslmode=require" if tls else ""
    return f"postgresql://{quote(login)}:{quote(password)}@{place}:{port}/{quote(database, safe='')}{mode}"


def _said(parts: Mapping[str, object], key: str, variable: str) -> str:
    return str(parts.get(key) or os.environ.get(variable) or "")
