"""What two transports say to each other over the encrypted control channel about the bulk channel.

Each direction of a pair has its own key. The sender of the bulk offers it, the receiver accepts it,
then the sender opens a bulk connection under the key's id and the receiver gives credit.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from p2pgan.protocol.ids import Count

KeyId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
"""Names a key in clear, and admits exactly one bulk connection."""


class SealOffer(msgspec.Struct, frozen=True, tag_field="type", tag="seal_offer"):
    """I will seal bulk frames to you under this fresh AES-256 key; my earlier key is void."""

    key_id: KeyId
    key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]

    def __repr__(self) -> str:
        return f"SealOffer({self.key_id.hex()})"  # a key has no place in a log or a traceback


class SealAccepted(msgspec.Struct, frozen=True, tag_field="type", tag="seal_accepted"):
    """I know the key: connect. Repeated for every repeated offer."""

    key_id: KeyId


class Credit(msgspec.Struct, frozen=True, tag_field="type", tag="credit"):
    """I have done with all frames whose counter is below ``through``; cumulative, so it may be lost."""

    key_id: KeyId
    through: Count


Keying = SealOffer | SealAccepted | Credit
