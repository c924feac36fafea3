"""How a slice of a vector becomes bytes on the wire and a vector again.

=====  ==================  ========================================================================
name   bytes per element   what it loses
=====  ==================  ========================================================================
fp32   4                   nothing
fp16   2                   what is beyond three decimal digits, or 65504
bf16   2                   what is beyond two decimal digits; no range
int8   1.004               up to a 254th of the largest element in each block of 1024; kept for later
topk   0.25                all but the largest 32nd of the elements; kept for later (experimental)
=====  ==================  ========================================================================

A codec is chosen per round by the plan. Both ends must agree to the bit on what was decoded, so a
codec has no state and no settings. "Kept for later": whoever encodes keeps what was lost and adds it
to what it encodes next (``feedback.py``). What all but fp32 get beside the vector, the index of the
elements of one-dimensional tensors, goes along exactly.
"""

from p2pgan.averaging.codec.base import Codec, Read
from p2pgan.averaging.codec.blockwise import Int8
from p2pgan.averaging.codec.plain import FP16_MAX, Bf16, Fp16, Fp32
from p2pgan.averaging.codec.raw import little_endian_bytes
from p2pgan.averaging.codec.sparse import TopK
from p2pgan.errors import ConfigError

__all__ = ["CODECS", "FP16_MAX", "Codec", "Read", "codec", "little_endian_bytes"]

CODECS: dict[str, Codec] = {each.name: each for each in (Fp32(), Fp16(), Bf16(), Int8(), TopK())}


def codec(name: str) -> Codec:
    """The codec of that name. Raises ConfigError for an unknown one."""
    try:
        return CODECS[name]
    except KeyError:
        raise ConfigError(f"unknown codec {name!r}; choose one of {', '.join(CODECS)}") from None
