"""Whether this machine can listen, and at which address it leaves for others."""

from __future__ import annotations

from p2pgan.peer.doctor.finding import Finding, failing


def network_findings(host: str, port: int, advertise: str | None) -> list[Finding]:
    """The ports a peer would bind, and the address that it would tell the others."""
    from p2pgan.transport.checkup import free_ports, told_address

    findings: list[Finding] = []
    with failing(findings, "ports"):
        control, bulk = free_ports(host, port)
        asked = f"ports {control} and {bulk}" if port else "any free ports"
        findings.append(Finding("ports", "ok", f"{asked} on {host}", {"host": host, "port": port}))
    with failing(findings, "address"):
        address = told_address(host, advertise)
        findings.append(Finding("address", "ok", f"others are told {address}", {"address": address}))
    return findings
