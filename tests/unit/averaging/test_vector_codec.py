import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from p2pgan.averaging.codec import FP16_MAX, codec
from p2pgan.errors import ConfigError, InternalError, PeerFault

NAMES = ["fp32", "fp16"]
finite_vectors = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=50).map(
    lambda values: torch.tensor(values, dtype=torch.float32)
)


@given(finite_vectors)
def test_fp32_is_exact(vector: Tensor):
    exact = codec("fp32")
    assert torch.equal(exact.decode(exact.encode(vector), len(vector)), vector)


@given(finite_vectors)
def test_fp16_is_near_and_never_infinite(vector: Tensor):
    half = codec("fp16")
    decoded = half.decode(half.encode(vector), len(vector))
    wanted = vector.clamp(-FP16_MAX, FP16_MAX)
    assert torch.all((decoded - wanted).abs() <= wanted.abs() / 2048 + 2.0**-24)


@pytest.mark.parametrize("name", NAMES)
@given(blob=st.binary(max_size=64), elements=st.integers(0, 16))
def test_hostile_bytes_give_finite_numbers_or_a_fault(name: str, blob: bytes, elements: int):
    try:
        vector = codec(name).decode(blob, elements)
    except PeerFault:
        return
    assert vector.shape == (elements,)
    assert vector.dtype == torch.float32
    assert torch.isfinite(vector).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_both_ways(name: str, value: float):
    kind = torch.float32 if name == "fp32" else torch.float16
    blob = torch.tensor([1.0, value], dtype=kind).numpy().tobytes()
    with pytest.raises(PeerFault, match="not finite"):
        codec(name).decode(blob, 2)
    with pytest.raises(InternalError, match="not finite"):
        codec(name).encode(torch.tensor([1.0, value]))


@pytest.mark.parametrize("name", NAMES)
def test_encoded_bytes_do_not_follow_the_vector(name: str):
    vector = torch.ones(4)
    blob = codec(name).encode(vector)
    vector.zero_()
    assert torch.equal(codec(name).decode(blob, 4), torch.ones(4))


@pytest.mark.parametrize("name", NAMES)
def test_a_decoded_vector_does_not_follow_the_buffer(name: str):
    buffer = bytearray(codec(name).encode(torch.ones(4)))
    vector = codec(name).decode(buffer, 4)
    buffer[:] = bytes(len(buffer))
    assert torch.equal(vector, torch.ones(4))


def test_bytes_are_little_endian():
    assert bytes(codec("fp32").encode(torch.tensor([1.0]))) == b"\x00\x00\x80\x3f"
    assert bytes(codec("fp16").encode(torch.tensor([1.0]))) == b"\x00\x3c"


def test_an_unknown_codec_is_refused():
    with pytest.raises(ConfigError, match="fp32, fp16"):
        codec("zip")
