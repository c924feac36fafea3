"""What a database that dies at the worst moment leaves of a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.errors import RendezvousUnavailable
from p2pgan.protocol.ids import CHUNK_BYTES, Span
from p2pgan.rendezvous import EmbeddedPostgres, EpochProgress, Rendezvous, open_rendezvous
from tests.contract.rendezvous.scenes import digest_of, open_scene


def test_a_crash_between_staging_and_commit_leaves_the_old_version(folder: Path) -> None:
    with open_rendezvous(f"embedded:{folder}", create=True) as rendezvous:
        rendezvous.migrate()
        scene = open_scene(rendezvous)
        first = scene.record(("A", Span(0, 0, 0, 300)))
        assert scene.commit(first).committed
        second = scene.record(("B", Span(0, 1, 300, 600)))
        manifest, chunks = scene.snapshot(second)
        rendezvous.stage_chunks(scene.run.id, "A", 1, chunks)

        postgres = EmbeddedPostgres(folder)
        postgres.crash()
        with pytest.raises(RendezvousUnavailable):
            rendezvous.commit_weights(scene.run.id, "A", 1, [second], manifest)
        postgres.start()

        progress = rendezvous.read_progress(scene.run.id)
        assert (progress.version, progress.digest, progress.images) == (1, first.digest, 300)
        assert progress.epochs == (EpochProgress(0, ((0, 300),)),)
        # What was staged need not have been on the disk: what is missing is sent again.
        rendezvous.stage_chunks(scene.run.id, "A", 1, chunks)
        assert rendezvous.commit_weights(scene.run.id, "A", 1, [second], manifest).committed
        back = rendezvous.read_chunks(scene.run.id, manifest.chunks)
        assert b"".join(back) == b"".join(part for _, part in chunks)
        postgres.leave()


def test_a_commit_that_returned_survives_a_crash(folder: Path) -> None:
    with open_rendezvous(f"embedded:{folder}", create=True) as rendezvous:
        rendezvous.migrate()
        scene = open_scene(rendezvous)
        record = scene.record(("A", Span(0, 0, 0, 300)))
        assert scene.commit(record).committed
        postgres = EmbeddedPostgres(folder)
        postgres.crash()
        postgres.start()
        with Rendezvous(postgres.dsn) as other:
            assert other.read_history(scene.run.id) == (record,)
            manifest = other.read_manifest(scene.run.id)
            assert b"".join(other.read_chunks(scene.run.id, manifest.chunks)) == b"".join(
                part for _, part in scene.snapshot(record)[1]
            )
        postgres.leave()


def test_a_snapshot_of_many_full_chunks(folder: Path) -> None:
    with open_rendezvous(f"embedded:{folder}", create=True) as rendezvous:
        rendezvous.migrate()
        scene = open_scene(rendezvous)
        parts = [bytes([number]) * CHUNK_BYTES for number in range(20)]
        named = [(digest_of(part), memoryview(part)) for part in parts]
        assert rendezvous.stage_chunks(scene.run.id, "A", 1, named) == len(parts)
        back = rendezvous.read_chunks(scene.run.id, [name for name, _ in named])
        assert all(got == part for got, part in zip(back, parts, strict=True))
