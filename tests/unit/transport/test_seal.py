import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pgan.transport.limits import FRAME_BYTES
from p2pgan.transport.seal import HEADER_BYTES, OVERHEAD_BYTES, FrameKind, Opener, Sealer, parse_header
from p2pgan.transport.tally import Refused, Tally

KEY_ID, KEY = b"i" * 16, b"k" * 32


def sealed(*plain: bytes) -> list[bytes]:
    sealer = Sealer(KEY_ID, KEY, window=4)
    return [bytes(sealer.seal(FrameKind.PART, part)) for part in plain]


def opened(opener: Opener, frame: bytes) -> bytes:
    header = parse_header(memoryview(frame))
    target = bytearray(header.room)
    opener.open_into(memoryview(frame), header, memoryview(target))
    return bytes(target)


@pytest.mark.parametrize("size", [0, 1, 1000, FRAME_BYTES])
def test_what_is_sealed_can_be_opened(size: int) -> None:
    plain = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (frame,) = sealed(plain)
    assert len(frame) == size + OVERHEAD_BYTES
    assert plain not in frame or size < 2
    assert opened(Opener(KEY), frame) == plain


def test_equal_plaintexts_give_different_frames() -> None:
    first, second = sealed(b"same bytes", b"same bytes")
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]


@given(position=st.integers(0, OVERHEAD_BYTES + 9), flip=st.integers(1, 255))
def test_no_byte_of_a_frame_can_be_changed(position: int, flip: int) -> None:
    (frame,) = sealed(b"ten  bytes")
    hostile = bytearray(frame)
    hostile[position] ^= flip
    opener = Opener(KEY)
    with pytest.raises(Refused):
        opened(opener, bytes(hostile))
    assert opened(opener, frame) == b"ten  bytes"


def test_a_frame_opens_once() -> None:
    first, second = sealed(b"first", b"second")
    opener = Opener(KEY)
    assert opened(opener, first) == b"first"
    assert opened(opener, second) == b"second"
    for frame in (first, second):
        with pytest.raises(Refused) as caught:
            opened(opener, frame)
        assert caught.value.reason is Tally.FRAME_REPLAYED


def test_a_lost_frame_may_not_come_late() -> None:
    first, second = sealed(b"first", b"second")
    opener = Opener(KEY)
    assert opened(opener, second) == b"second"
    with pytest.raises(Refused) as caught:
        opened(opener, first)
    assert caught.value.reason is Tally.FRAME_REPLAYED


def test_a_frame_under_another_key_does_not_open_and_moves_nothing() -> None:
    (frame,) = sealed(b"secret")
    opener = Opener(b"j" * 32)
    with pytest.raises(Refused) as caught:
        opened(opener, frame)
    assert caught.value.reason is Tally.FRAME_FORGED
    assert opener.expected == 0


@given(st.binary(max_size=80))
def test_random_frames_are_refused_or_parse_within_bounds(data: bytes) -> None:
    try:
        header = parse_header(memoryview(data))
    except Refused as refused:
        assert refused.reason is Tally.MALFORMED
    else:
        assert header.room == len(data) - OVERHEAD_BYTES


def test_a_frame_over_the_limit_is_refused() -> None:
    with pytest.raises(Refused):
        parse_header(memoryview(bytes([1, 1]) + bytes(FRAME_BYTES + OVERHEAD_BYTES)))
