"""The door: answers libzmq's question whether a connection may be made (ZAP, RFC 27).

Without a handler a CURVE socket accepts every key. A refusal has status 300: the peer is cut off
silently and its socket goes on trying, where status 400 would end that socket for good, and a peer
whose registration this process has not read yet could never get in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq.utils.z85

from p2pgan.errors import InternalError
from p2pgan.protocol.ids import PeerId

ENDPOINT = "inproc://zeromq.zap.01"
CONTROL_DOMAIN = b"control"
BULK_DOMAIN = b"bulk"


def answer(
    request: Sequence[bytes],
    admit_key: Callable[[PeerId], bool],
    admit_bulk: Callable[[bytes], PeerId | None],
) -> list[bytes]:
    """The reply to ``request``.

    ``admit_key`` is asked about a CURVE public key in Z85; ``admit_bulk`` about the key id that a bulk
    connection shows as its PLAIN password, and says whose it is. The peer becomes the connection's
    ``User-Id``.
    """
    version, request_id, domain, _address, _routing_id, mechanism, *credentials = request
    if version != b"1.0":
        raise InternalError(f"libzmq speaks ZAP {version!r}, only 1.0 is known")
    user: PeerId | None = None
    match (domain, mechanism, credentials):
        case (b"control", b"CURVE", [raw]):
            key = zmq.utils.z85.encode(raw).decode("ascii")
            user = key if admit_key(key) else None
        case (b"bulk", b"PLAIN", [_, password]):
            user = admit_bulk(password)
    if user is not None:
        return [version, request_id, b"200", b"", user.encode("ascii"), b""]
    return [version, request_id, b"300", b"not allowed", b"", b""]
