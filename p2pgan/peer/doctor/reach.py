"""Whether peers reach each other: this machine dials those who are here, and the leader says whether it
reaches this one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from p2pgan.errors import Trouble, more_about
from p2pgan.peer.doctor.finding import Finding, failing
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.texts import counted
from p2pgan.rendezvous import PeerStatus, Rendezvous, RunRow

MOST_DIALLED = 8
PATIENCE_S = 2.0
LIVE_S = 15.0
"""A peer whose last sign is older is not here, as the rendezvous counts."""


def reach_findings(
    database: Rendezvous, run: RunRow, me: PeerId | None, dial: Callable[[str], bool] | None = None
) -> list[Finding]:
    """Both directions between the peer ``me`` (None: it has no key yet) and those who are in the run now."""
    findings: list[Finding] = []
    with failing(findings, "reach"):
        here = {p["id"]: p for p in database.status(run.id)["peers"] if is_here(p)}
        addresses = [
            (p.name, p.control_address)
            for p in database.list_peers(run.id).peers
            if p.id in here and p.id != me
        ]
        findings.append(_outward(addresses[:MOST_DIALLED], dial or answers))
        findings.append(_inward(here.get(me) if me is not None else None, len(addresses)))
    return findings


def answers(address: str) -> bool:
    """Whether something listens at ``address``, such as ``tcp://10.0.0.5:4100``."""
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S):
            return True
    except (OSError, ValueError):
        return False


def is_here(peer: PeerStatus) -> bool:
    """Whether a peer takes part now."""
    return peer["state"] in ("joining", "active") and peer["last_seen_s"] < LIVE_S


def _outward(addresses: list[tuple[str, str]], dial: Callable[[str], bool]) -> Finding:
    silent = [name for name, address in addresses if not dial(address)]
    facts = {"dialled": len(addresses), "silent": len(silent)}
    if not addresses:
        return Finding("dial", "ok", "nobody else is in the run now", facts)
    if not silent:
        return Finding("dial", "ok", f"{counted(len(addresses), 'other peer')} can be dialled", facts)
    text = more_about(f"no answer from {', '.join(silent)}", Trouble.FIREWALL)
    return Finding("dial", "note", text, facts)


def _inward(mine: PeerStatus | None, others: int) -> Finding:
    facts = {"here": mine is not None, "reached": mine["reached"] if mine is not None else None}
    if mine is None or not others:
        text = "whether others reach this machine shows while its peer is in a run with others: ask then"
        return Finding("reach", "ok", text, facts)
    if mine["reached"]:
        return Finding("reach", "ok", f"others reach {mine['name']}", facts)
    text = f"{mine['name']} has answered no plan of the leader yet: if it stays so, others do not reach it"
    return Finding("reach", "note", more_about(text, Trouble.FIREWALL), facts)
