"""Whether this machine can listen, and at which address it leaves for others."""

from __future__ import annotations

from p2pgan.errors import Trouble, more_about
from p2pgan.peer.doctor.finding import Finding, failing


def network_findings(host: str, port: int, advertise: str | None) -> list[Finding]:
    """The ports a peer would bind, the address that it would tell the others, and where that leads."""
    from p2pgan.transport.checkup import free_ports, told_address

    findings: list[Finding] = []
    with failing(findings, "ports"):
        control, bulk = free_ports(host, port)
        asked = f"ports {control} and {bulk}" if port else "any free ports"
        findings.append(Finding("ports", "ok", f"{asked} on {host}", {"host": host, "port": port}))
    with failing(findings, "address"):
        address = told_address(host, advertise)
        findings.append(Finding("address", "ok", f"others are told {address}", {"address": address}))
        if advertise is not None and findings[0].mark == "ok":
            findings.append(_way(host, port, address))
    return findings


def _way(host: str, port: int, told: str) -> Finding:
    """Whether the address that somebody chose leads here, as far as that can be seen from here."""
    from p2pgan.transport.checkup import leads_here

    ports = (port, port + 1) if port else (0, 0)
    closed = [number for number in ports if not leads_here(host, number, told)]
    facts = {"address": told, "port": port, "closed": closed}
    if not closed:
        return Finding("way", "ok", f"who dials {told} comes here", facts)
    if not port:
        text = f"who dials {told} at any port does not come here: give --port N, and forward N and N+1"
        return Finding("way", "note", more_about(text, Trouble.FIREWALL), facts)
    which = " and ".join(map(str, closed))
    text = (
        f"who dials {told} at {which} does not come here: open or forward both ports "
        "(a few routers lead only those outside in: then ask somebody there)"
    )
    return Finding("way", "note", more_about(text, Trouble.FIREWALL), facts)
