"""The door: answers libzmq's question whether a connection may be made (ZAP, RFC 27).

Without a handler a CURVE socket accepts every key. A refusal has status 300: the peer is cut off
silently and its socket goes on trying, where status 400 would end that socket for good, and a peer
whose registration this process has not read yet could never get in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq.utils.z85

from p2pgan.errors import InternalError

ENDPOINT = "inproc://zeromq.zap.01"
CONTROL_DOMAIN = b"control"
BULK_DOMAIN = b"bulk"


def answer(
    request: Sequence[bytes], admit_key: Callable[[str], bool], admit_bulk: Callable[[bytes], bool]
) -> list[bytes]:
    """The reply to ``request``.

    ``admit_key`` is asked about a CURVE public key in Z85, which becomes the connection's ``User-Id``;
    ``admit_bulk`` about the key id that a bulk connection shows as its PLAIN password.
    """
    version, request_id, domain, _address, _routing_id, mechanism, *credentials = request
    if version != b"1.0":
        raise InternalError(f"libzmq speaks ZAP {version!r}, only 1.0 is known")
    user, admitted = b"", False
    match (domain, mechanism, credentials):
        case (b"control", b"CURVE", [key]):
            user = zmq.utils.z85.encode(key)
            admitted = admit_key(user.decode("ascii"))
        case (b"bulk", b"PLAIN", [_, password]):
            admitted = admit_bulk(password)
    if admitted:
        return [version, request_id, b"200", b"", user, b""]
    return [version, request_id, b"300", b"not allowed", b"", b""]
