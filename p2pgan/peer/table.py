"""The table of peers as the state machine hears of it."""

from __future__ import annotations

from p2pgan.protocol.events import PeerInfo, PeersRead
from p2pgan.rendezvous import PeerList, PeerRow

LIVE_S = 15.0
"""A peer not seen for this long counts as gone."""
FORGOTTEN_S = 3600.0
"""A lost peer may speak again within this time without registering anew."""


def may_speak(row: PeerRow) -> bool:
    """Whether others take in what this peer says."""
    return row.present or (row.state == "lost" and row.last_seen_s < FORGOTTEN_S)


def peers_read(table: PeerList) -> PeersRead:
    """Everyone who may speak, and who of them is gone for now."""
    infos = (
        PeerInfo(row.id, row.can_lead, not row.present or row.last_seen_s > LIVE_S, row.name)
        for row in table.peers
        if may_speak(row)
    )
    return PeersRead(table.generation, tuple(infos))
