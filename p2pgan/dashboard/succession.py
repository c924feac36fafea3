"""Who would get the pen next, as the leader itself would choose."""

from __future__ import annotations

from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.shares import by_rendezvous_hash
from p2pgan.rendezvous import StatusSnapshot

LIVE_S = 15.0
"""A peer whose last sign is older is not here, as the rendezvous counts."""


def heir(status: StatusSnapshot, named: PeerId | None) -> PeerId | None:
    """Whom the leader has ``named``, or the first of those here, on the newest weights and not set aside.

    It is a forecast: who leaves, or is behind when the time comes, is passed over.
    """
    if named is not None:
        return named
    if status["leader"] is None:
        return None
    # Versions are as of the last roll-up, in which somebody may not have applied the newest yet.
    newest = max((peer["version"] for peer in status["peers"] if peer["id"] == status["leader"]), default=0)
    eligible = [
        peer["id"]
        for peer in status["peers"]
        if peer["id"] != status["leader"]
        and peer["state"] == "active"
        and peer["last_seen_s"] < LIVE_S
        and not peer["set_aside"]
        and peer["version"] >= newest - 1
    ]
    return next(iter(by_rendezvous_hash(status["run"], status["term"] + 1, eligible)), None)
