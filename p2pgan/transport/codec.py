"""Messages to bytes and back: msgpack of plain values, validated into the protocol's types.

Bytes from a peer are hostile until they have passed :func:`decode` or :func:`decode_header`.
"""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec

from p2pgan.errors import InternalError
from p2pgan.protocol.messages import AnyMessage, BlobHeader
from p2pgan.transport.keying import Keying
from p2pgan.transport.tally import Refused, Tally

MAX_MESSAGE_BYTES = 8 << 20
"""Bytes in one encoded message."""

WireMessage = AnyMessage | Keying


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
    return _convert(data, WireMessage)  # type: ignore[no-any-return]  # mypy has no type for a union's value


def decode_header(data: bytes | memoryview) -> BlobHeader:
    """The blob header in ``data``.

    Raises:
        Refused: anything but exactly one valid header.
    """
    return _convert(data, BlobHeader)  # type: ignore[no-any-return]


def _convert(data: bytes | memoryview, wanted: Any) -> Any:
    try:
        plain = msgpack.unpackb(
            data,
            ext_hook=_refuse_ext,
            max_ext_len=0,
            max_str_len=1024,
            max_bin_len=64,
            max_map_len=64,
            max_array_len=65_536,
        )
        return msgspec.convert(plain, wanted)
    # msgpack's own errors, and bad UTF-8 in a string, are all ValueErrors, and so are msgspec's.
    except (ValueError, RecursionError) as error:
        raise Refused(Tally.MALFORMED, f"not a valid message: {error}") from error


def _refuse_ext(code: int, _data: bytes) -> None:
    raise ValueError(f"msgpack extension type {code}")
