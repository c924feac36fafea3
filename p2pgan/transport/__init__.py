"""The wire: authenticated messages and sealed bulk transfers between peers. See docs/wire.md."""

from p2pgan.transport.arrivals import (
    Arrival,
    BlobArrived,
    MessageArrived,
    PeerAddress,
    SharingFailed,
    StrangerSeen,
    Ways,
)
from p2pgan.transport.curve import Keys, load_keys, new_keys
from p2pgan.transport.limits import BulkLimits
from p2pgan.transport.tally import Tally
from p2pgan.transport.zeromq import Transport

__all__ = [
    "Arrival",
    "BlobArrived",
    "BulkLimits",
    "Keys",
    "MessageArrived",
    "PeerAddress",
    "SharingFailed",
    "StrangerSeen",
    "Tally",
    "Transport",
    "Ways",
    "load_keys",
    "new_keys",
]
