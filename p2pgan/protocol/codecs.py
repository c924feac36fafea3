"""Which number format a round uses, where the run leaves that to its leader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

CodecName = Literal["fp32", "fp16", "bf16", "int8", "topk"]
CodecChoice = Literal["fp32", "fp16", "bf16", "int8", "topk", "auto"]

BYTES_PER_ELEMENT: dict[CodecName, float] = {
    "fp32": 4.0,
    "fp16": 2.0,
    "bf16": 2.0,
    "int8": 1.004,
    "topk": 0.25,
}
"""Of a large tensor; those of one dimension always travel exactly."""
SHARE_OF_ROUND = 0.1
"""Of the time of a round: averaging should take no more."""
FAST = 500e6
"""Bytes per second: over lines like these int8 takes longer to make than it saves on the way."""
BYTES_EACH_WAY = 2 * BYTES_PER_ELEMENT["fp16"]
"""For each element at fp16: its slice and its reduced shard, two bytes each."""


class Chosen(NamedTuple):
    """A codec and why."""

    codec: CodecName
    reason: str


def choose_codec(uplinks: Iterable[float], elements: int, round_s: float) -> Chosen:
    """fp16 while every member can send its part in a tenth of the training of a round, or fast; else int8.

    ``uplinks`` are the members' measured bytes per second; 0 is what is not known yet. A member sends
    its slices and receives reduced shards while it also sends reduced ones: at most the vector twice.
    """
    known = [uplink for uplink in uplinks if uplink > 0]
    if not known:
        return Chosen("fp16", "fp16: no member's bandwidth is known yet")
    text = (
        f"at fp16 the slowest member, with {_rate(min(known))}, sends for {_sends_s(known, elements):.2g} s"
    )
    if sends_long(known, elements, round_s):
        return Chosen("int8", f"int8: {text}, more than a tenth of a round")
    why = "as fast as int8 is made" if min(known) >= FAST else "within a tenth of a round"
    return Chosen("fp16", f"fp16: {text}, {why}")


def sends_long(uplinks: Iterable[float], elements: int, round_s: float) -> bool:
    """Whether some member sends for more than a tenth of a round at fp16, as far as is known; see above.

    Over ``FAST`` lines nobody does.
    """
    known = [uplink for uplink in uplinks if 0 < uplink < FAST]
    return bool(known) and _sends_s(known, elements) > SHARE_OF_ROUND * round_s


def _sends_s(known: list[float], elements: int) -> float:
    return BYTES_EACH_WAY * elements / min(known)


def _rate(bytes_per_s: float) -> str:
    return f"{bytes_per_s * 8 / 1e6:.3g} Mbit/s"
