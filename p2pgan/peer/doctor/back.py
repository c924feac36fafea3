"""Whether others can dial this machine: it shows itself among them for some seconds, and they dial back."""

from __future__ import annotations

import time
from collections.abc import Collection

from p2pgan.errors import Trouble, more_about
from p2pgan.peer.doctor.finding import Finding, failing
from p2pgan.peer.doctor.reach import is_here
from p2pgan.peer.options import JoinOptions
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.texts import counted
from p2pgan.rendezvous import PeerRow, Rendezvous, RunRow
from p2pgan.transport import PeerAddress, Transport

PATIENCE_S = 10.0
"""Peers learn of somebody new when it knocks; then they dial, again and again."""
LOOK_S = 0.1
LONGEST_BYTES = 1 << 20
"""Nobody has anything to send."""


def back_findings(
    database: Rendezvous, run: RunRow, me: PeerId | None, options: JoinOptions
) -> list[Finding]:
    """Who of those in the run, apart from the peer ``me``, dials this machine, as ``options`` have it listen.

    For that it is in the table of peers, as somebody who has gone again in the end.
    """
    findings: list[Finding] = []
    with failing(findings, "back"):
        live = {p["id"] for p in database.status(run.id)["peers"] if is_here(p)}
        others = [p for p in database.list_peers(run.id).peers if p.id in live - {me} and p.can_lead]
        if not others:
            text = "nobody else is in the run now who could dial back: ask again when somebody is"
            return [Finding("back", "ok", text, {"asked": 0, "came": 0})]
        findings.append(_asked(database, run, options, others))
    return findings


def _asked(database: Rendezvous, run: RunRow, options: JoinOptions, others: list[PeerRow]) -> Finding:
    from p2pgan.peer.presence import presence

    with presence(database, run, options, LONGEST_BYTES, lambda _: None, "doctor") as present:
        present.transport.set_peers({p.id: PeerAddress(p.control_address, p.bulk_address) for p in others})
        came = _who_comes(present.transport, {p.id for p in others})
        address = present.address
    silent = [p.name for p in others if p.id not in came]
    facts = {"asked": len(others), "came": len(came), "address": address}
    if not silent:
        return Finding("back", "ok", f"{counted(len(others), 'other peer')} dialled back", facts)
    text = (
        f"no call from {', '.join(silent)} within {PATIENCE_S:.0f} s at {address}: open or forward that port "
        "and the next one, or --advertise a VPN's or a tunnel's address"
    )
    return Finding("back", "note" if came else "mend", more_about(text, Trouble.FIREWALL), facts)


def _who_comes(transport: Transport, others: Collection[PeerId]) -> frozenset[PeerId]:
    until = time.monotonic() + PATIENCE_S
    while not transport.ways().inward.issuperset(others) and time.monotonic() < until:
        time.sleep(LOOK_S)
    return transport.ways().inward.intersection(others)
