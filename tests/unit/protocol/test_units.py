"""The pool hands out every image once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pgan.protocol.events import EpochDone
from p2pgan.protocol.ids import Span, images_in
from p2pgan.protocol.units import MOST_UNITS_ON_THE_WAY, UnitPool, complement


def pool(
    images: int = 100,
    unit: int = 32,
    microbatch: int = 8,
    goal: int | None = None,
    parts: tuple[int, ...] = (),
) -> UnitPool:
    made = UnitPool(images, unit, microbatch, goal, parts)
    made.restore((), ())
    return made


def test_complement_names_the_gaps() -> None:
    assert complement([(10, 20), (0, 5)], 30) == [(5, 10), (20, 30)]
    assert complement([], 3) == [(0, 3)]
    assert complement([(0, 3)], 3) == []


def test_spans_are_cut_at_microbatches_and_units() -> None:
    spans = pool().take("a", 40)

    assert spans == (Span(0, 0, 0, 32), Span(0, 1, 32, 40))


def test_only_the_last_microbatch_of_an_epoch_is_smaller() -> None:
    made = pool(images=20, unit=16)

    assert made.take("a", 20) == (Span(0, 0, 0, 16), Span(0, 1, 16, 20))


def test_work_goes_on_into_the_next_epoch() -> None:
    made = pool(images=20, unit=16)
    made.take("a", 16)

    assert made.take("b", 12) == (Span(0, 1, 16, 20), Span(1, 0, 0, 8))


def test_what_is_given_back_is_handed_out_first() -> None:
    made = pool()
    first = made.take("a", 16)
    made.take("b", 16)
    made.give_back("a")

    assert made.take("c", 16) == first


def test_a_peer_goes_on_with_what_it_reports_to_hold() -> None:
    made = pool()
    held = (Span(0, 0, 8, 16),)

    assert made.take_exactly("a", held)
    assert made.held("a") == held
    assert all(not s.overlaps(held[0]) for s in made.take("b", 96))


def test_spans_that_another_peer_has_are_refused() -> None:
    made = pool()
    theirs = made.take("a", 16)

    assert not made.take_exactly("b", theirs)
    assert not made.take_exactly("b", (Span(0, 0, 16, 24), Span(0, 0, 20, 28)))
    assert made.held("b") == ()


def test_a_restored_pool_leaves_out_what_is_committed_and_what_is_in_the_weights() -> None:
    made = UnitPool(100, 32, 8, None)
    made.restore((EpochDone(2, ((0, 40),)),), (Span(2, 2, 64, 96),))

    assert made.take("a", 28) == (Span(2, 1, 40, 64), Span(2, 3, 96, 100))


def test_an_epoch_that_the_database_has_not_seen_yet_is_known_from_the_ledger() -> None:
    made = UnitPool(32, 32, 8, None)
    made.restore((EpochDone(0, ((0, 32),)),), (Span(1, 0, 0, 8),))

    assert made.take("a", 8) == (Span(1, 0, 8, 16),)


def test_the_goal_ends_the_work() -> None:
    made = pool(images=16, unit=16, goal=1)
    made.take("a", 16)

    assert made.exhausted
    assert made.take("b", 8) == ()
    made.done("a")
    assert made.exhausted and not made.holders()


def test_claims_name_each_unit_once() -> None:
    made = pool()
    made.take("a", 40)

    assert [(c.unit, c.start, c.stop) for c in made.claims()] == [(0, 0, 32), (1, 32, 64)]
    assert made.claims() == ()


@given(
    st.integers(1, 200),
    st.integers(1, 50),
    st.integers(1, 10),
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["take", "back", "done"]), st.integers(1, 60))
    ),
    st.frozensets(st.integers(1, 199), max_size=5),
    st.dictionaries(st.sampled_from("abc"), st.frozensets(st.integers(0, 5))),
)
def test_no_image_is_ever_with_two_peers_or_lost(images, unit, microbatch, steps, ends, own) -> None:
    parts = (*sorted(end for end in ends if end < images), images) if ends else ()
    made = pool(images, unit, microbatch, 2, parts)
    done: list[Span] = []
    for peer, action, count in steps:
        if action == "take":
            made.take(peer, count, own.get(peer, ()))
        elif action == "back":
            made.give_back(peer)
        else:
            done.extend(made.held(peer))
            made.done(peer)
    handed = [s for peer in "abc" for s in made.held(peer)]
    rest: list[Span] = []
    while spans := made.take("rest", 1000):
        rest.extend(spans)
        made.done("rest")
    everything = sorted(done + handed + rest)

    assert images_in(tuple(everything)) == 2 * images
    assert not any(a.overlaps(b) for a, b in zip(everything, everything[1:], strict=False))
    assert not any(span.start < end < span.stop for span in everything for end in parts)


def test_peers_get_spans_of_their_own_parts_and_no_span_is_of_two() -> None:
    made = pool(parts=(40, 60, 100))

    assert made.take("a", 16, {2}) == (Span(0, 1, 60, 64), Span(0, 2, 64, 80))
    assert made.take("b", 24, {1}) == (Span(0, 1, 40, 60), Span(0, 0, 0, 8))
    assert made.take_ahead("a", 20, {2}) == (Span(0, 2, 80, 96), Span(0, 3, 96, 100))


def test_a_peer_with_several_parts_uses_them_up_together() -> None:
    made = pool(images=96, unit=16, parts=(32, 64, 96))
    starts = []
    for _ in range(4):
        starts += [span.start for span in made.take("a", 16, {0, 2})]
        made.done("a")

    assert starts == [0, 64, 16, 80]


def test_no_epoch_begins_while_something_is_left_of_the_last_one_whosever_it_is() -> None:
    made = pool(images=64, unit=32, parts=(32, 64))
    made.take("a", 32, {0})

    assert made.take("b", 40, {0}) == (Span(0, 1, 32, 64), Span(1, 0, 0, 8))


def test_a_restored_pool_knows_the_parts() -> None:
    made = UnitPool(100, 32, 8, None, (50, 100))
    made.restore((EpochDone(0, ((0, 40),)),), ())

    assert made.take("a", 16, {0}) == (Span(0, 1, 40, 50), Span(0, 1, 50, 58))
    assert made.take_exactly("b", (Span(0, 3, 96, 100),))


def test_a_peer_that_boasts_of_its_speed_does_not_open_epochs_without_end() -> None:
    made = pool(images=100, unit=32)
    taken = made.take("mallory", 10**12)
    bound = MOST_UNITS_ON_THE_WAY * 32
    assert bound <= images_in(taken) <= bound + 100
    assert made.take("honest", 40) == ()
    made.done("mallory")
    assert images_in(made.take("honest", 40)) == 40
