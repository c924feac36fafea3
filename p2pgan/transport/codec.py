"""Messages to bytes and back: msgpack, read straight into the protocol's types.

Bytes from a peer are hostile until they have passed :func:`decode` or :func:`decode_header`. The types
drive the reading: what does not fit is refused where it stands, and what no type asks for is passed over
without becoming an object. Eight megabytes of nested empty arrays, read into plain values first,
would take half a gigabyte and three seconds of the transport's thread.
"""

from __future__ import annotations

from typing import TypeVar

import msgpack
import msgspec

from p2pgan.errors import InternalError
from p2pgan.protocol.messages import AnyMessage, BlobHeader
from p2pgan.transport.keying import Keying
from p2pgan.transport.sharing import Sharing
from p2pgan.transport.tally import Refused, Tally

MAX_MESSAGE_BYTES = 8 << 20
"""Bytes in one encoded message."""

WireMessage = AnyMessage | Keying | Sharing

Value = TypeVar("Value")

_MESSAGES: msgspec.msgpack.Decoder[WireMessage] = msgspec.msgpack.Decoder(WireMessage)
_HEADERS = msgspec.msgpack.Decoder(BlobHeader)


def encode(message: WireMessage | BlobHeader) -> bytes:
    """The wire form of ``message``.

    Raises:
        InternalError: it is longer than ``MAX_MESSAGE_BYTES``, which no receiver would take.
    """
    data: bytes = msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,)))
    if len(data) > MAX_MESSAGE_BYTES:
        raise InternalError(
            f"a {type(message).__name__} of {len(data)} bytes is over the limit of {MAX_MESSAGE_BYTES}"
        )
    return data


def decode(data: bytes | memoryview) -> WireMessage:
    """The message in ``data``.

    Raises:
        Refused: anything but exactly one valid message.
    """
    return _read(_MESSAGES, data)


def decode_header(data: bytes | memoryview) -> BlobHeader:
    """The blob header in ``data``.

    Raises:
        Refused: anything but exactly one valid header.
    """
    return _read(_HEADERS, data)


def _read(decoder: msgspec.msgpack.Decoder[Value], data: bytes | memoryview) -> Value:
    try:
        return decoder.decode(data)
    # Not UTF-8 in a string, nested too deep to be passed over, and everything else.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Tally.MALFORMED, f"not a valid message: {error}") from error
