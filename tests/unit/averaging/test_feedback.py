"""What a lossy codec loses is neither lost nor counted twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from p2pgan.averaging.codec import codec
from p2pgan.averaging.feedback import ErrorFeedback

SIZE = 3000
LOSSY = ["int8", "topk"]
EXACT = torch.tensor([0, 2, 2999])


def delta() -> Tensor:
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(3))


def rounds(feedback: ErrorFeedback, name: str, vector: Tensor, numbers: range) -> Tensor:
    """The mean of what was sent."""
    total = torch.zeros(SIZE, dtype=torch.float64)
    for number in numbers:
        payload = feedback.encode(codec(name), (number,), 0, vector, EXACT)
        total += codec(name).decode(payload, SIZE, EXACT)
        feedback.settle((number,))
    return total / len(numbers)


@pytest.mark.parametrize("name", LOSSY)
def test_the_mean_of_what_is_sent_over_many_rounds_is_what_was_to_be_sent(name: str) -> None:
    vector, count = delta(), 200
    once = codec(name).decode(codec(name).encode(vector, EXACT), SIZE, EXACT)

    mean = rounds(ErrorFeedback(), name, vector, range(count))

    error = (mean - vector).norm() / vector.norm()
    assert error < (once - vector).norm() / vector.norm() / 10


@pytest.mark.parametrize("name", LOSSY)
def test_what_did_not_count_leaves_no_trace(name: str) -> None:
    once, twice = ErrorFeedback(), ErrorFeedback()
    rounds(once, name, delta(), range(2))
    rounds(twice, name, delta(), range(2))
    twice.encode(codec(name), (2,), 0, delta() * 5, EXACT)
    twice.forget(below=3)
    for feedback in (once, twice):
        feedback.settle((2,))

    wanted = once.encode(codec(name), (3,), 0, delta(), EXACT)

    assert twice.encode(codec(name), (3,), 0, delta(), EXACT) == wanted


@pytest.mark.parametrize("name", LOSSY)
def test_what_is_asked_for_again_is_the_same_bytes(name: str) -> None:
    feedback = ErrorFeedback()
    rounds(feedback, name, delta(), range(2))
    first = feedback.encode(codec(name), (2,), 0, delta(), EXACT)

    assert feedback.encode(codec(name), (2,), 0, delta(), EXACT) == first


@pytest.mark.parametrize("name", LOSSY)
def test_slices_keep_their_own_part_of_the_residual(name: str) -> None:
    whole, cut, half = ErrorFeedback(), ErrorFeedback(), 2048
    vector = delta()
    cut.encode(codec(name), (1,), 0, vector[:half], None)
    cut.encode(codec(name), (1,), half, vector[half:], None)
    cut.settle((1,))
    first = codec(name).encode(vector[:half])

    second = cut.encode(codec(name), (2,), 0, vector[:half], None)

    lost = vector[:half] - codec(name).decode(first, half)
    assert second == codec(name).encode(vector[:half] + lost)
    assert whole.encode(codec(name), (1,), half, vector[half:], None) == codec(name).encode(vector[half:])


@pytest.mark.parametrize("name", LOSSY)
def test_slices_that_are_cut_otherwise_find_what_was_lost_where_they_are_now(name: str) -> None:
    feedback, vector = ErrorFeedback(), delta()
    lost = torch.zeros(SIZE)
    for start, stop in ((0, 1024), (1024, 2048)):
        sent = codec(name).decode(
            feedback.encode(codec(name), (1,), start, vector[start:stop], None), stop - start
        )
        lost[start:stop] = vector[start:stop] - sent
    feedback.settle((1,))

    for start, stop in ((0, 2048), (512, 1536), (1024, SIZE), (2048, SIZE)):
        second = feedback.encode(codec(name), (2,), start, vector[start:stop], None)
        assert second == codec(name).encode(vector[start:stop] + lost[start:stop])


@pytest.mark.parametrize("name", LOSSY)
def test_a_residual_does_not_outlive_the_next_round(name: str) -> None:
    feedback, half = ErrorFeedback(), 2048
    rounds(feedback, name, delta(), range(5))
    feedback.encode(codec(name), (5,), 0, delta()[:half], None)
    feedback.settle((5,))

    second = feedback.encode(codec(name), (6,), half, delta()[half:], None)

    assert second == codec(name).encode(delta()[half:]), "the second half was another's in round 5"


@pytest.mark.parametrize("name", LOSSY)
def test_a_round_in_an_exact_codec_ends_a_residual(name: str) -> None:
    feedback = ErrorFeedback()
    rounds(feedback, name, delta(), range(5))
    rounds(feedback, "fp16", delta(), range(5, 6))

    assert feedback.encode(codec(name), (6,), 0, delta(), EXACT) == codec(name).encode(delta(), EXACT)


def test_an_exact_codec_is_handed_the_vector_as_it_is() -> None:
    feedback = ErrorFeedback()
    rounds(feedback, "int8", delta(), range(1))
    payload = feedback.encode(codec("fp32"), (9,), 0, delta(), None)
    assert torch.equal(codec("fp32").decode(payload, SIZE), delta())
