from __future__ import annotations

import msgspec

from p2pgan.protocol.history import chain_problems, count_problems, journal_problems
from p2pgan.protocol.ids import Contribution, Span, VersionRecord

IMAGES = 30


def _record(version: int, term: int, *spans: tuple[str, Span], images: int) -> VersionRecord:
    return VersionRecord(
        version=version,
        digest=f"digest-{version}",
        parent_digest=f"digest-{version - 1}",
        term=term,
        attempt=0,
        leader="ada",
        images=images,
        contributions=tuple(Contribution(peer, (span,)) for peer, span in spans),
    )


SOUND = (
    _record(1, 1, ("ada", Span(0, 0, 0, 10)), ("bob", Span(0, 1, 10, 20)), images=20),
    _record(2, 1, ("ada", Span(0, 2, 20, 30)), images=30),
    _record(3, 2, ("bob", Span(1, 0, 0, 10)), images=40),
)


def audit(history, journals, images, complete_epochs=0, genesis=None) -> list[str]:
    return [
        *chain_problems(history, genesis),
        *count_problems(history, images, complete_epochs),
        *journal_problems(history, journals),
    ]


def _change(index: int, **values: object) -> tuple[VersionRecord, ...]:
    changed = list(SOUND)
    changed[index] = msgspec.structs.replace(changed[index], **values)
    return tuple(changed)


def test_a_sound_history_has_no_violation() -> None:
    assert audit(SOUND, {"ada": SOUND, "bob": SOUND[:2]}, IMAGES) == []


def test_a_run_that_committed_nothing_is_sound() -> None:
    assert audit((), {"ada": ()}, IMAGES) == []


def test_a_gap_is_found() -> None:
    assert "version 3 follows version 1" in audit((SOUND[0], SOUND[2]), {}, IMAGES)
    assert "the history begins with version 2" in audit(SOUND[1:], {}, IMAGES)


def test_another_parent_is_found() -> None:
    assert audit(_change(1, parent_digest="other"), {}, IMAGES) == [
        "version 2 has another parent than version 1"
    ]


def test_an_epoch_that_lacks_images_is_found() -> None:
    assert audit(SOUND[:1], {}, IMAGES, complete_epochs=1) == ["epoch 0 counts 20 of 30 images"]


def test_a_wrong_count_is_found_once() -> None:
    assert audit(_change(1, images=31), {}, IMAGES) == ["version 2 says 31 images, its history 30"]


def test_images_counted_twice_are_found_across_versions() -> None:
    again = (Contribution("bob", (Span(0, 1, 19, 29),)),)
    violations = audit(_change(1, contributions=again), {}, IMAGES)
    assert any("counted twice: 0/1[10:20] and 0/1[19:29]" in violation for violation in violations)


def test_positions_beyond_the_data_set_are_found() -> None:
    assert any("position 30 of 29" in violation for violation in audit(SOUND, {}, 29))


def test_a_peer_with_other_weights_is_found() -> None:
    other = msgspec.structs.replace(SOUND[1], digest="other")
    assert audit(SOUND, {"bob": (SOUND[0], other)}, IMAGES) == [
        "bob had other weights than the committed version 2"
    ]


def test_a_version_that_a_peer_left_with_and_nobody_committed_is_found() -> None:
    assert audit(SOUND[:2], {"bob": SOUND}, IMAGES) == ["version 3, which bob had, was never committed"]


def test_rounds_of_a_peer_that_was_cut_off_in_an_older_term_never_happened() -> None:
    """``bob`` led on alone in term 1, and left before it heard of term 2."""
    later = (*SOUND, _record(4, 2, ("ada", Span(1, 1, 10, 20)), images=50))
    alone = tuple(_record(v, 1, ("bob", Span(1, 0, 0, 10)), images=40) for v in (3, 4, 5))
    branch = [msgspec.structs.replace(record, digest=f"alone-{record.version}") for record in alone]
    assert audit(later, {"bob": (*SOUND[:2], *branch)}, IMAGES) == []
    # A round of the later term on weights that nobody else had is another matter.
    for number, word in ((1, "bob had other weights than the committed version 4"), (2, "never committed")):
        wrong = [*branch]
        wrong[number] = msgspec.structs.replace(branch[number], term=2)
        assert any(word in problem for problem in audit(later, {"bob": (*SOUND[:2], *wrong)}, IMAGES))
