"""Bytes on the wire of a round are those of the formula in docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pgan.averaging.codec import codec
from p2pgan.protocol.messages import BlobHeader, BlobKind
from p2pgan.protocol.shards import cut_shards, equal_shares
from p2pgan.transport import Tally
from tests.contract.transport.parties import Party

ELEMENTS = 3_000_000


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8"])
def test_a_round_of_two_sends_what_the_formula_says(party: Callable[..., Party], name: str) -> None:
    pair = [party(), party()]
    for each, other in (pair, reversed(pair)):
        each.know(other)
    ids = [each.id for each in pair]
    shards = cut_shards(ELEMENTS, equal_shares(ids))
    for me, each in enumerate(pair):
        for index, shard in enumerate(shards):
            # To the other go slices of its shards, and results of one's own.
            kind = BlobKind.RESULT if shard.owner == ids[me] else BlobKind.SLICE
            payload = bytes(codec(name).length(shard.stop - shard.start))
            header = BlobHeader(
                run="digits",
                term=1,
                kind=kind,
                round=1,
                attempt=1,
                index=index,
                codec=name,
                length=len(payload),
                digest="",
            )
            each.transport.send_blob(ids[1 - me], header, payload)
    for each in pair:
        each.wait_for_count(Tally.BLOBS_SENT, len(shards))
        each.wait_for_count(Tally.BLOBS_RECEIVED, len(shards))
        formula = 2 * (2 - 1) / 2 * codec(name).length(ELEMENTS)
        assert each.count(Tally.FRAME_BYTES_SENT) == pytest.approx(formula, rel=0.02)
        traffic = each.transport.traffic()
        assert traffic.sent == pytest.approx(formula, rel=0.02)
        assert traffic.received == pytest.approx(formula, rel=0.02)
        # The talk about keys and credit is in it as well.
        assert traffic.sent > each.count(Tally.FRAME_BYTES_SENT)
        assert traffic.received > each.count(Tally.FRAME_BYTES_RECEIVED)
