import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pgan.errors import InternalError, PeerFault
from p2pgan.protocol.ids import Contribution, Span, VersionRecord
from p2pgan.protocol.messages import BlobHeader, BlobKind, Heartbeat, Leaving, Phase, RoundCommitted
from p2pgan.transport import codec
from p2pgan.transport.keying import Credit, SealAccepted, SealOffer
from p2pgan.transport.tally import Refused, Tally

HEARTBEAT = Heartbeat(
    run="faces",
    term=3,
    version=7,
    digest="ab" * 32,
    phase=Phase.TRAINING,
    held=(Span(0, 1, 2, 3),),
    images_per_s=1.5,
)
RECORD = VersionRecord(
    version=8,
    digest="cd" * 32,
    parent_digest="ab" * 32,
    term=3,
    attempt=0,
    leader="k" * 40,
    images=64,
    contributions=(Contribution("k" * 40, (Span(0, 0, 0, 64),)),),
)
HEADER = BlobHeader(
    run="faces",
    term=3,
    kind=BlobKind.SLICE,
    round=8,
    attempt=0,
    index=1,
    codec="fp16",
    length=10,
    digest="ef" * 32,
)
MESSAGES = [
    HEARTBEAT,
    RoundCommitted(run="faces", term=3, record=RECORD),
    SealOffer(key_id=b"i" * 16, key=b"k" * 32),
    SealAccepted(key_id=b"i" * 16),
    Credit(key_id=b"i" * 16, through=4),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_survives_the_wire(message: codec.WireMessage) -> None:
    assert codec.decode(codec.encode(message)) == message


def test_a_blob_header_survives_the_wire() -> None:
    assert codec.decode_header(codec.encode(HEADER)) == HEADER


def refused(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        codec.decode(data)
    assert caught.value.reason is Tally.MALFORMED
    assert isinstance(caught.value, PeerFault)


@given(st.binary(max_size=400))
def test_random_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    refused(data)


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@given(
    field=st.sampled_from(["run", "term", "version", "digest", "phase", "held", "images_per_s"]),
    value=plain_values,
)
def test_any_value_in_any_field_gives_a_valid_message_or_a_refusal(field: str, value: object) -> None:
    plain = msgspec.to_builtins(HEARTBEAT)
    plain[field] = value
    try:
        decoded = codec.decode(msgpack.packb(plain))
    except Refused:
        return
    assert isinstance(decoded, Heartbeat)
    assert 0 <= decoded.term <= 2**62
    assert 0.0 <= decoded.images_per_s <= 1e9


@pytest.mark.parametrize(
    "data",
    [
        codec.encode(HEARTBEAT)[:-1],
        codec.encode(HEARTBEAT) + b"\x00",
        msgpack.packb({"type": "format_disk", "run": "r", "term": 0}),
        msgpack.packb({"run": "r", "term": 0}),
        msgpack.packb({"type": "leaving", "run": "r", "term": True}),
        msgpack.packb({"type": "leaving", "run": "r" * 2000, "term": 0}),
        msgpack.packb({"type": "leaving", "run": "r", "term": 2**63}),
        msgpack.packb({"type": "leaving", "run": "r", "term": msgpack.ExtType(5, b"abc")}),
        msgpack.packb({"type": "leaving", "run": msgpack.ExtType(5, b""), "term": 0}),
        msgpack.packb({"type": "leaving", "run": "r", "term": msgpack.Timestamp(1, 2)}),
        msgpack.packb({"type": "leaving", "run": b"r", "term": 0}),
        msgpack.packb({**msgspec.to_builtins(HEARTBEAT), "held": [[0, 0, 0, 1]] * 65_537}),
        msgpack.packb({"type": "leaving", "run": "r", "term": 0})[:-1] + b"\xdd\xff\xff\xff\xff",
        msgpack.packb({"type": "seal_offer", "key_id": b"i" * 16, "key": b"k" * 31}),
        b"\x81\xa4type\xa2\xff\xfe",
        b"\x91" * 100_000 + b"\x01",
        b"\x84\xa4type\xa7leaving\xa3run\xa1r\xa4term\x00\xa4more" + b"\x91" * 100_000 + b"\x01",
        b"\xdd\xff\xff\xff\xff",
    ],
    ids=[
        "truncated",
        "trailing byte",
        "unknown type",
        "no type",
        "bool for int",
        "long string",
        "over bigint",
        "ext",
        "empty ext",
        "timestamp",
        "bytes for text",
        "long array",
        "array claimed for a number",
        "short key",
        "bad utf-8",
        "deep",
        "deep where nothing is read",
        "huge array claimed",
    ],
)
def test_hostile_messages_are_refused(data: bytes) -> None:
    refused(data)


def test_unknown_fields_are_ignored_so_that_a_later_version_may_add_some() -> None:
    data = msgpack.packb({"type": "leaving", "run": "r", "term": 0, "mood": "fine"})
    assert codec.decode(data) == Leaving(run="r", term=0)


@given(st.binary(max_size=200))
def test_random_blob_headers_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        codec.decode_header(data)


def test_a_message_no_receiver_would_take_is_not_sent() -> None:
    spans = tuple(Span(2**40, 2**40, 2**40, 2**40 + i) for i in range(250_000))
    with pytest.raises(InternalError, match="over the limit"):
        codec.encode(Heartbeat(run="r", term=0, version=0, digest="", phase=Phase.IDLE, held=spans))


def test_a_key_is_not_shown() -> None:
    assert "kkkk" not in repr(SealOffer(key_id=b"i" * 16, key=b"k" * 32))
