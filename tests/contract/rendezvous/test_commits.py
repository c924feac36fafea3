from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import pytest

from p2pgan.errors import InternalError, WeightsError
from p2pgan.protocol.ids import Contribution, Span, VersionRecord
from p2pgan.rendezvous import EpochProgress, Rendezvous
from tests.contract.rendezvous.scenes import IMAGES, UNIT, Scene, digest_of, open_scene

FIRST = Span(0, 0, 0, 300)
SECOND = Span(0, 1, 300, 600)


def head(scene: Scene) -> tuple[int, str, int]:
    progress = scene.rendezvous.read_progress(scene.run.id)
    return progress.version, progress.digest, progress.images


def test_weights_and_images_are_one_fact(scene: Scene) -> None:
    records = [scene.record(("A", FIRST), ("B", Span(0, 3, 900, 1000))), scene.record(("B", SECOND))]
    assert scene.commit(*records).committed
    assert head(scene) == (2, records[-1].digest, 700)
    assert scene.rendezvous.read_progress(scene.run.id).epochs == (EpochProgress(0, ((0, 600), (900, 1000))),)
    assert scene.rendezvous.read_history(scene.run.id) == tuple(records)
    manifest = scene.rendezvous.read_manifest(scene.run.id)
    assert manifest == scene.snapshot(records[-1])[0]
    data = b"".join(scene.rendezvous.read_chunks(scene.run.id, manifest.chunks))
    assert data == b"".join(part for _, part in scene.snapshot(records[-1])[1])


def test_a_commit_can_be_repeated(scene: Scene) -> None:
    record = scene.record(("A", FIRST))
    assert scene.commit(record).committed
    again = scene.commit(record)
    assert again.committed
    assert again.reason == "committed before"
    assert head(scene) == (1, record.digest, 300)


def test_what_is_committed_of_a_batch_is_passed_over(scene: Scene) -> None:
    first, second = scene.record(("A", FIRST)), scene.record(("A", SECOND))
    assert scene.commit(first).committed
    assert scene.commit(first, second).committed
    assert head(scene) == (2, second.digest, 600)


def test_an_old_term_changes_nothing(scene: Scene) -> None:
    record = scene.record(("A", FIRST))
    term = scene.take_pen("B")
    outcome = scene.commit(record)
    assert not outcome.committed
    assert outcome.reason == "the pen of term 1 is lost: B holds it in term 2"
    assert head(scene) == (0, scene.run.digest, 0)
    assert scene.commit(record, peer="B", term=term).committed


def test_a_lost_answer_is_found_out_even_after_the_pen_is_lost(scene: Scene) -> None:
    record = scene.record(("A", FIRST))
    assert scene.commit(record).committed
    scene.take_pen("B")
    assert scene.commit(record).committed


def test_an_image_does_not_count_twice(scene: Scene) -> None:
    first = scene.record(("A", FIRST))
    assert scene.commit(first).committed
    twice = scene.record(("B", Span(0, 0, 299, 300)))
    with pytest.raises(InternalError, match="count images twice"):
        scene.commit(twice)
    assert head(scene) == (1, first.digest, 300)
    assert scene.rendezvous.read_history(scene.run.id) == (first,)


def test_nor_within_one_commit(scene: Scene) -> None:
    with pytest.raises(InternalError, match="count images twice"):
        scene.commit(scene.record(("A", Span(0, 0, 0, 200)), ("B", Span(0, 0, 100, 300))))
    assert head(scene) == (0, scene.run.digest, 0)


def test_the_same_positions_of_another_epoch_or_run_do_count(scene: Scene, rendezvous: Rendezvous) -> None:
    assert scene.commit(scene.record(("A", FIRST))).committed
    assert scene.commit(scene.record(("A", Span(1, 0, 0, 300)))).committed
    other = open_scene(rendezvous)
    assert other.commit(other.record(("A", FIRST))).committed


@pytest.mark.parametrize(
    "span",
    [
        Span(0, 0, 200, 301),
        Span(0, 1, 0, 300),
        Span(0, 3, 900, 1001),
        Span(0, 4, 1000, 1001),
        Span(0, 0, 5, 5),
    ],
    ids=str,
)
def test_spans_outside_of_their_units_are_refused(scene: Scene, span: Span) -> None:
    with pytest.raises(InternalError, match="outside of their units"):
        scene.commit(scene.record(("A", span)))
    assert head(scene) == (0, scene.run.digest, 0)


def test_a_version_without_a_stored_parent_is_refused(scene: Scene) -> None:
    scene.record(("A", FIRST))
    later = scene.record(("A", SECOND))
    assert scene.commit(later).reason == "version 2 does not follow version 0"


def test_a_fork_is_refused(scene: Scene) -> None:
    first = scene.record(("A", FIRST))
    assert scene.commit(first).committed
    fork = msgspec.structs.replace(first, digest=digest_of(b"fork"))
    assert scene.commit(fork).reason == "version 1 is committed with another digest"
    child = msgspec.structs.replace(
        scene.record(("A", SECOND)), parent_digest=fork.digest, digest=digest_of(b"child of the fork")
    )
    assert scene.commit(child).reason == "version 2 has another parent than version 1"
    assert head(scene) == (1, first.digest, 300)


def test_records_that_contradict_themselves_are_refused(scene: Scene) -> None:
    record = msgspec.structs.replace(scene.record(("A", FIRST)), images=301)
    with pytest.raises(InternalError, match="says 301 images where its contributions make 300"):
        scene.commit(record)


def test_only_registered_peers_contribute(scene: Scene) -> None:
    with pytest.raises(InternalError, match="contributions_run_id_peer_fkey"):
        scene.commit(scene.record(("stranger", FIRST)))
    assert head(scene) == (0, scene.run.digest, 0)


def test_without_its_chunks_a_version_is_not_committed(scene: Scene) -> None:
    record = scene.record(("A", FIRST))
    manifest, chunks = scene.snapshot(record)
    commit = (scene.run.id, "A", 1, [record], manifest)
    assert scene.rendezvous.commit_weights(*commit).reason == "2 chunks of version 1 are not staged"
    assert scene.rendezvous.stage_chunks(scene.run.id, "A", 1, chunks[:1]) == 1
    assert scene.rendezvous.commit_weights(*commit).reason == "1 chunks of version 1 are not staged"
    assert scene.rendezvous.stage_chunks(scene.run.id, "A", 1, chunks) == 1, "the first is there already"
    assert scene.rendezvous.commit_weights(*commit).committed


def test_a_manifest_of_another_length_or_schema_is_refused(scene: Scene) -> None:
    record = scene.record(("A", FIRST))
    manifest, chunks = scene.snapshot(record)
    scene.rendezvous.stage_chunks(scene.run.id, "A", 1, chunks)
    for wrong in ({"length": manifest.length + 1}, {"schema_hash": "other"}, {"images": 299}):
        with pytest.raises(InternalError):
            scene.rendezvous.commit_weights(
                scene.run.id, "A", 1, [record], msgspec.structs.replace(manifest, **wrong)
            )
    assert head(scene) == (0, scene.run.digest, 0)


def test_the_last_snapshots_and_the_milestones_are_kept(rendezvous: Rendezvous) -> None:
    scene = open_scene(rendezvous, keep_last=2, milestone_every=4)
    for position in range(7):
        assert scene.commit(scene.record(("A", Span(0, 0, position, position + 1)))).committed
    kept = {0, 4, 6, 7}
    for version in range(8):
        if version in kept:
            manifest = rendezvous.read_manifest(scene.run.id, version)
            assert sum(map(len, rendezvous.read_chunks(scene.run.id, manifest.chunks))) == manifest.length
        else:
            with pytest.raises(WeightsError, match="there is 0, 4, 6, 7"):
                rendezvous.read_manifest(scene.run.id, version)
            gone, _ = scene.snapshot(scene.records[version - 1])
            with pytest.raises(WeightsError, match="not stored any more"):
                list(rendezvous.read_chunks(scene.run.id, gone.chunks))
    assert len(rendezvous.read_history(scene.run.id)) == 7, "the ledger stays"


def test_a_whole_epoch(scene: Scene) -> None:
    units = [(0, unit, first, min(first + UNIT, IMAGES)) for unit, first in enumerate(range(0, IMAGES, UNIT))]
    assert scene.commit(scene.record(*(("A", Span(*unit)) for unit in units))).committed
    progress = scene.rendezvous.read_progress(scene.run.id)
    assert progress.epochs == (EpochProgress(0, ((0, IMAGES),)),), "the highest epoch is told though complete"
    status = scene.rendezvous.status(scene.run.id)
    assert status["units"] == {"open": 0, "leased": 0, "done": 4}
    assert status["epoch"] == 1
    assert scene.commit(scene.record(("B", Span(1, 0, 0, 1)))).committed
    assert [e.epoch for e in scene.rendezvous.read_progress(scene.run.id).epochs] == [1]


@pytest.mark.parametrize("seed", range(8))
def test_any_history_counts_each_image_once(rendezvous: Rendezvous, seed: int) -> None:
    """Spans cut anywhere, in any order, over versions and commits as they come, some by an old term."""
    scene, draw = open_scene(rendezvous), random.Random(seed)
    edges = sorted({*draw.sample(range(IMAGES), 12), *range(0, IMAGES, UNIT), IMAGES})
    spans = [Span(0, a // UNIT, a, b) for a, b in pairwise(edges)]
    draw.shuffle(spans)
    counted: set[int] = set()
    while spans:
        batch = []
        for _ in range(draw.randint(1, 3)):
            size = draw.randint(0, 3)
            now, spans = spans[:size], spans[size:]
            batch.append(scene.record(*((draw.choice("AB"), span) for span in now)))
            counted |= {p for span in now for p in range(span.start, span.stop)}
        if draw.random() < 0.5:
            assert not scene.commit(*batch, term=0).committed
        assert scene.commit(*batch).committed
        epochs = scene.rendezvous.read_progress(scene.run.id).epochs
        assert {p for epoch in epochs for start, stop in epoch.done for p in range(start, stop)} == counted
    history = scene.rendezvous.read_history(scene.run.id)
    assert history == tuple(_sorted(record) for record in scene.records)
    assert head(scene) == (len(history), history[-1].digest, IMAGES)


def _sorted(record: VersionRecord) -> VersionRecord:
    """Contributions are kept sorted; those without images are not kept."""
    kept = (Contribution(c.peer, tuple(sorted(c.spans))) for c in record.contributions if c.spans)
    return msgspec.structs.replace(record, contributions=tuple(kept))


def test_an_epoch_that_is_complete_before_an_earlier_one_is_named_as_complete(scene: Scene) -> None:
    """Otherwise a new leader would hand it out again."""
    units = [(unit, unit * UNIT, min((unit + 1) * UNIT, IMAGES)) for unit in range(4)]
    whole = [("A", Span(1, *unit)) for unit in units]
    assert scene.commit(scene.record(*whole, ("A", Span(2, *units[0])))).committed

    named = scene.rendezvous.read_progress(scene.run.id).epochs

    assert named == (
        EpochProgress(0, ()),
        EpochProgress(1, ((0, IMAGES),)),
        EpochProgress(2, ((0, UNIT),)),
    )
