import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from p2pgan.averaging.codec import CODECS, FP16_MAX, codec
from p2pgan.averaging.codec.blockwise import BLOCK, LARGEST_SCALE, SMALLEST_SCALE
from p2pgan.errors import ConfigError, InternalError, PeerFault
from p2pgan.protocol.codecs import BYTES_PER_ELEMENT

NAMES = list(CODECS)
EXACT = torch.tensor([1, 4])
HOSTILE = {
    "fp32": lambda value: np.array([1.0, value], "<f4").tobytes(),
    "fp16": lambda value: np.array([1.0, value], "<f2").tobytes(),
    "bf16": lambda value: np.array([1.0, value], "<f4").view("<u2")[1::2].tobytes(),
    "int8": lambda value: np.array([value], "<f4").tobytes() + b"\x01\x01",
    "topk": lambda value: np.array([1], "<i4").tobytes() + np.array([value], "<f4").tobytes(),
}
"""Two elements, of which one is the value."""
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
    with pytest.raises(PeerFault, match="not finite"):
        codec(name).decode(HOSTILE[name](value), 2)
    with pytest.raises(InternalError, match="not finite"):
        codec(name).encode(torch.tensor([1.0, value]))


@pytest.mark.parametrize("name", NAMES)
def test_encoded_bytes_do_not_follow_the_vector(name: str):
    vector = torch.ones(4)
    blob = codec(name).encode(vector)
    before = bytes(blob)
    vector.zero_()
    assert bytes(blob) == before


def test_bytes_are_little_endian():
    assert bytes(codec("fp32").encode(torch.tensor([1.0]))) == b"\x00\x00\x80\x3f"
    assert bytes(codec("fp16").encode(torch.tensor([1.0]))) == b"\x00\x3c"


def test_an_unknown_codec_is_refused():
    with pytest.raises(ConfigError, match="fp32, fp16"):
        codec("zip")


@given(finite_vectors)
def test_bf16_is_near_and_never_infinite(vector: Tensor):
    half = codec("bf16")
    decoded = half.decode(half.encode(vector), len(vector))
    assert torch.all((decoded - vector).abs() <= vector.abs() / 128 + 1e-38)


@given(finite_vectors.map(lambda vector: vector.repeat(60)))
@example(torch.full((3,), torch.finfo(torch.float32).max))
def test_int8_is_within_half_a_step_of_its_block(vector: Tensor):
    eight = codec("int8")
    decoded = eight.decode(eight.encode(vector), len(vector))
    for start in range(0, len(vector), BLOCK):
        block, wanted = decoded[start : start + BLOCK], vector[start : start + BLOCK]
        wanted = wanted.clamp(-127 * LARGEST_SCALE, 127 * LARGEST_SCALE)
        bound = max(wanted.abs().max().item() / 127 * 0.5001, 127 * SMALLEST_SCALE)
        assert (block - wanted).abs().max().item() <= bound


def test_topk_keeps_the_largest_as_they_are():
    vector = torch.arange(-48.0, 49.0)
    sparse = codec("topk")
    decoded = sparse.decode(sparse.encode(vector), len(vector))
    kept = decoded.nonzero().squeeze(1)
    assert len(kept) == 4
    assert torch.equal(decoded[kept], vector[kept])
    assert sorted(decoded[kept].abs().tolist()) == [47.0, 47.0, 48.0, 48.0]


@pytest.mark.parametrize("name", NAMES)
@given(
    vector=st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=5, max_size=50).map(
        lambda values: torch.tensor(values, dtype=torch.float32)
    )
)
def test_elements_of_one_dimensional_tensors_stay_exact(name: str, vector: Tensor):
    each = codec(name)
    decoded = each.decode(each.encode(vector, EXACT), len(vector), EXACT)
    assert torch.equal(decoded[EXACT], vector[EXACT])


def test_an_exact_element_does_not_widen_the_steps_of_its_block():
    vector = torch.full((BLOCK,), 1.0)
    vector[1] = 1e6
    eight = codec("int8")
    decoded = eight.decode(eight.encode(vector, EXACT), BLOCK, EXACT)
    torch.testing.assert_close(decoded, vector)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fp32"])
def test_an_exact_element_that_is_not_finite_is_refused(name: str):
    each = codec(name)
    payload = bytearray(each.encode(torch.ones(5), EXACT))
    payload[:4] = np.array([np.inf], "<f4").tobytes()
    with pytest.raises(PeerFault, match="not finite"):
        each.decode(payload, 5, EXACT)


@pytest.mark.parametrize("scale", [-1.0, 1e37, float("inf"), float("nan")])
def test_a_scale_that_is_none_is_refused(scale: float):
    with pytest.raises(PeerFault, match="scale"):
        codec("int8").decode(np.array([scale], "<f4").tobytes() + b"\x01", 1)


@pytest.mark.parametrize("places", [(-1, 3), (3, 64), (3, 3), (5, 3), (2**31 - 1, 0)])
def test_places_beyond_the_end_twice_or_out_of_order_are_refused(places: tuple[int, int]):
    payload = np.array(places, "<i4").tobytes() + np.ones(2, "<f4").tobytes()
    with pytest.raises(PeerFault, match="places"):
        codec("topk").decode(payload, 64)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("writable", [True, False])
def test_a_vector_can_be_decoded_into_its_place(name: str, writable: bool):
    each, vector = codec(name), torch.arange(40.0)
    payload = bytearray(each.encode(vector))
    whole = torch.full((50,), -1.0)
    each.decode(payload if writable else bytes(payload), 40, into=whole[5:45])
    assert torch.equal(whole[5:45], each.decode(payload, 40))
    assert whole[:5].eq(-1).all()
    assert whole[45:].eq(-1).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_length_that_is_said_is_the_length_that_comes(name: str):
    for elements in (0, 1, 31, 32, 33, BLOCK - 1, BLOCK, BLOCK + 1, 5000):
        vector = torch.randn(elements)
        assert len(codec(name).encode(vector)) == codec(name).length(elements)


def test_the_leader_reckons_with_the_bytes_that_codecs_take() -> None:
    elements = 1 << 20
    assert BYTES_PER_ELEMENT.keys() == CODECS.keys()
    for name, per_element in BYTES_PER_ELEMENT.items():
        assert codec(name).size(elements) == pytest.approx(per_element * elements, rel=0.001)
