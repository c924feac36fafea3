"""Where a peer listens, as its options say."""

from __future__ import annotations

from dataclasses import replace

from p2pgan.peer.inbox import Inbox
from p2pgan.peer.options import PeerOptions
from p2pgan.transport import BulkLimits, Keys, Transport


def transport_of(options: PeerOptions, keys: Keys, inbox: Inbox, longest: int) -> Transport:
    """A transport, not started, that delivers to ``inbox`` and takes blobs of ``longest`` bytes at most."""
    limits = BulkLimits(max_blob_bytes=longest)
    return Transport(
        keys,
        deliver=inbox.deliver,
        bind_host=options.bind_host,
        advertise_host=options.advertise,
        control_port=options.port,
        bulk_port=options.port + 1 if options.port else 0,
        limits=limits if options.shared_memory else replace(limits, max_shared_bytes=0),
    )
