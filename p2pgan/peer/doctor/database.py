"""The rendezvous as this machine and this login see it."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.errors import P2pganError, RunError, Trouble, more_about
from p2pgan.peer.doctor.finding import Finding, failing
from p2pgan.rendezvous import Rendezvous, RunRow
from p2pgan.rendezvous.dsn import is_local
from p2pgan.rendezvous.migrations import packaged_migrations
from p2pgan.rendezvous.translation import NoSchema

FAR_S = 0.5
"""A lease is renewed every two seconds, in one round trip."""
CLOCKS_APART_S = 5.0
"""Nothing is decided by our own clock, but people compare the times of logs."""


def database_findings(database: Rendezvous) -> list[Finding]:
    """Connection, release, distance and clock, login, tables; the first alone if there is no connection."""
    findings: list[Finding] = []
    try:
        findings.append(_connection(database))
    except P2pganError as error:
        return [Finding("database", "mend", error.told)]
    checks: dict[str, Callable[[Rendezvous], list[Finding]]] = {
        "postgres": _server,
        "latency": _distance,
        "tables": _tables,
    }
    for name, check in checks.items():
        with failing(findings, name):
            findings += check(database)
    return findings


def find_run(database: Rendezvous, name: str | None) -> tuple[RunRow | None, list[Finding]]:
    """The run that a peer would take part in, or None."""
    try:
        run = database.find_run(name)
    except RunError as error:
        return None, [Finding("run", "note" if name is None else "mend", error.told)]
    except P2pganError:  # without tables or rights, which are findings already
        return None, []
    facts = {"name": run.name, "state": run.state, "version": run.version}
    if run.state == "finished":
        text = f"{run.name} has finished at version {run.version}: nobody can join it, but draw from it"
        return run, [Finding("run", "note", text, facts)]
    return run, [Finding("run", "ok", f"{run.name}, version {run.version}", facts)]


def _connection(database: Rendezvous) -> Finding:
    address = database.address()
    local = is_local(address.host)
    place = f"{address.host}:{address.port}/{address.database}"
    facts = {"tls": address.tls, "local": local}
    if address.tls:
        return Finding("database", "ok", f"{place}, under TLS", facts)
    if local:
        return Finding("database", "ok", f"{place}, on this machine", facts)
    text = f"{place} without TLS: others on the way may read and change it; add sslmode=require to the DSN"
    return Finding("database", "note", text, facts)


def _server(database: Rendezvous) -> list[Finding]:
    facts = database.server_facts()
    return [Finding("postgres", "ok", facts.release, {"release": facts.release})]


def _distance(database: Rendezvous) -> list[Finding]:
    found = database.distance()
    latency, ahead = found.latency_s, found.clock_ahead_s
    facts: dict[str, object] = {"median_s": round(latency, 6)}
    if latency > FAR_S:
        text = f"{latency * 1000:.0f} ms: a slow answer may cost the pen; use a database that is closer"
        findings = [Finding("latency", "note", text, facts)]
    else:
        findings = [Finding("latency", "ok", f"{latency * 1000:.1f} ms there and back", facts)]
    way = "ahead of" if ahead > 0 else "behind"
    text = f"the database's is {abs(ahead):.3f} s {way} this machine's"
    facts = {"database_ahead_s": round(ahead, 6)}
    if abs(ahead) > CLOCKS_APART_S:
        text = more_about(f"{text}, so times in logs do not agree: set the clocks by NTP", Trouble.CLOCK)
        return [*findings, Finding("clock", "note", text, facts)]
    return [*findings, Finding("clock", "ok", text, facts)]


def _tables(database: Rendezvous) -> list[Finding]:
    """Whether p2pgan's tables are there and of this release, and what the login may do."""
    server, needed = database.server_facts(), len(packaged_migrations())
    facts: dict[str, object] = {"login": server.login, "superuser": server.superuser}
    try:
        database.check_schema()
    except NoSchema as error:
        if server.may_create:
            text = "none yet: this login may make them, by p2pgan lead"
            return [Finding("tables", "ok", text, {"schema": None, "needed": needed})]
        text = f"{error}; this login may not, so let whoever runs the server lead first"
        return [Finding("tables", "mend", text, {"schema": None, "needed": needed})]
    tables = Finding("tables", "ok", f"schema version {needed}", {"schema": needed, "needed": needed})
    standing = database.standing()
    facts["standing"] = standing
    if standing == "reader":
        text = f"{server.login} may look, but not take part: ask for an invitation (p2pgan invite)"
        return [tables, Finding("rights", "mend", text, facts)]
    may = "join, and hold the pen"
    if standing == "trusted":
        may = "lead, join and invite" if server.may_invite else "lead and join, but not invite"
    return [tables, Finding("rights", "ok", f"{server.login} may {may}", facts)]
