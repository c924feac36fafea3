"""``p2pgan audit`` on histories that are sound, and on some that are not."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psycopg
import pytest
import torch

from p2pgan.averaging.digest import chunk, vector_digest
from p2pgan.cli.main import run
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.journal import Journal
from p2pgan.peer.snapshot import encode_snapshot, name_snapshot
from p2pgan.protocol.ids import SnapshotManifest, Span, VersionRecord
from p2pgan.rendezvous import Rendezvous
from tests.contract.rendezvous.scenes import IMAGES, UNIT, Scene, registration

GAN = {"model": {"name": "mlp", "latent_dim": 8}}
LAYOUT = layout_for(GanConfig.model_validate(GAN).model)
_numbers = itertools.count()


@dataclass
class Trained(Scene):
    """A run whose versions are weights of real networks."""

    wrong: float | None = None
    """What one number of the versions to come is, where it should be another."""

    def record(self, *contributions: tuple[str, Span], digest: str = "") -> VersionRecord:
        weights = self.weights(len(self.records) + 1)
        return super().record(*contributions, digest=digest or vector_digest(weights))

    def snapshot(self, record: VersionRecord) -> tuple[SnapshotManifest, list[tuple[str, bytes]]]:
        return as_stored(self.weights(record.version), record.version, record.digest, record.images)

    def weights(self, version: int) -> torch.Tensor:
        theta = torch.full((LAYOUT.size,), version / 100)
        if self.wrong is not None:
            theta[7] = self.wrong
        return theta


def as_stored(
    theta: torch.Tensor, version: int, digest: str, images: int
) -> tuple[SnapshotManifest, list[tuple[str, bytes]]]:
    blob = encode_snapshot(theta, theta[LAYOUT.slice_of("G")])
    manifest = name_snapshot(LAYOUT, digest, blob, version, images)
    return manifest, list(zip(manifest.chunks, map(bytes, chunk(blob)), strict=True))


def open_trained(rendezvous: Rendezvous, gan: dict[str, object]) -> Trained:
    """A run with peers A and B; A holds the pen in term 1."""
    first = torch.zeros(LAYOUT.size)
    manifest, chunks = as_stored(first, 0, vector_digest(first), 0)
    made = rendezvous.create_run(
        name=f"audited-{next(_numbers)}",
        config={"gan": gan},
        dataset={"count": IMAGES, "resolution": 32, "digest": "d" * 64},
        schema_hash=LAYOUT.schema_hash,
        unit_images=UNIT,
        seed_manifest=manifest,
        chunks=chunks,
    )
    for peer in "AB":
        rendezvous.register_peer(made.id, registration(peer))
    assert rendezvous.acquire_lease(made.id, "A", 3600) is not None
    return Trained(rendezvous, made)


@pytest.fixture
def scene(rendezvous: Rendezvous) -> Trained:
    return open_trained(rendezvous, GAN)


@pytest.fixture
def records(scene: Scene) -> list[VersionRecord]:
    first = scene.record(("A", Span(0, 0, 0, UNIT)), ("B", Span(0, 1, UNIT, UNIT + 100)))
    second = scene.record(("A", Span(0, 1, UNIT + 100, 2 * UNIT)))
    assert scene.commit(first, second).committed
    return [first, second]


def write_journal(path: Path, scene: Scene, records: list[VersionRecord]) -> str:
    with Journal(path) as journal:
        for record in records:
            journal.add_version(scene.run.name, record)
    return str(path)


def audit(server: str, scene: Scene, *journals: str) -> int:
    flags = [flag for path in journals for flag in ("--journal", path)]
    return run(["audit", "--rendezvous", server, "--run", scene.run.name, *flags])


def test_a_sound_run(
    server: str,
    scene: Scene,
    records: list[VersionRecord],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ahead = scene.record(("B", Span(0, 2, 2 * UNIT, 2 * UNIT + 10)))
    journal = write_journal(tmp_path / "a.sqlite", scene, [*records, ahead])
    assert audit(server, scene, journal) == 0
    out = capsys.readouterr().out
    assert "2 versions and 1 journals, no problem" in out
    assert "had 1 versions at its end that are not committed (yet)" in out


def test_a_peer_that_applied_other_weights_is_found(
    server: str,
    scene: Scene,
    records: list[VersionRecord],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = msgspec.structs.replace(records[1], digest="0" * 64)
    assert audit(server, scene, write_journal(tmp_path / "a.sqlite", scene, [records[0], other])) == 1
    assert "applied different weights as version 2" in capsys.readouterr().out


def test_progress_that_is_not_in_the_weights_is_found(
    server: str, scene: Scene, records: list[VersionRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(server, autocommit=True) as database:
        database.execute(
            "update p2pgan.units set done = int4multirange(int4range(0, 10)), state = 'open'"
            " where run_id = %s and epoch = 0 and unit = 0",
            (scene.run.id,),
        )
    assert audit(server, scene) == 1
    assert "epoch 0 is marked as done at" in capsys.readouterr().out


def test_damaged_weights_are_found(
    server: str, scene: Scene, records: list[VersionRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(server, autocommit=True) as database:
        database.execute("update p2pgan.chunks set data = 'x' where run_id = %s", (scene.run.id,))
    assert audit(server, scene) == 1
    assert "is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_committed_weights_that_are_not_finite_are_found(
    server: str, scene: Trained, capsys: pytest.CaptureFixture[str], number: float
) -> None:
    scene.wrong = number
    assert scene.commit(scene.record(("A", Span(0, 0, 0, UNIT)))).committed
    assert audit(server, scene) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("the weights of version 1 are not valid: ")
    assert "not finite" in line


def test_committed_weights_that_are_not_what_their_digest_names_are_found(
    server: str, scene: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each chunk is what its name says: it is other weights that were stored."""
    record = scene.record(("A", Span(0, 0, 0, UNIT)))
    scene.wrong = 1.5
    assert scene.commit(record).committed
    assert audit(server, scene) == 1
    assert capsys.readouterr().out == "the weights of version 1 are not those its digest names\n"


def test_weights_of_an_own_net_are_audited_but_for_their_numbers(
    server: str, rendezvous: Rendezvous, capsys: pytest.CaptureFixture[str]
) -> None:
    own = open_trained(rendezvous, {"model": {"name": f"Pair@{'a' * 64}"}})
    assert own.commit(own.record(("A", Span(0, 0, 0, UNIT)))).committed
    assert audit(server, own) == 0
    note, verdict = capsys.readouterr().out.splitlines()
    assert note.startswith(
        "note: the numbers in the weights were not looked at: the net Pair is somebody's own"
    )
    assert verdict.endswith("1 versions and 0 journals, no problem")


def test_a_missing_journal_is_said_in_one_line(
    server: str, scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(server, scene, str(tmp_path)) == 2
    assert "there is no journal at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        ("update p2pgan.manifests set length = -1 where run_id = %s", "version 2 is damaged in the database"),
        ("update p2pgan.manifests set images = -5 where run_id = %s", "version 1 is damaged in the database"),
        ("update p2pgan.manifests set term = -1 where run_id = %s", "version 1 is damaged in the database"),
        (
            "update p2pgan.manifests set chunks = array[null::text] where run_id = %s and stored",
            "version 2 is damaged in the database",
        ),
        (
            "update p2pgan.runs set version = 7 where id = %s",
            "the run is at version 7, its history ends with",
        ),
        ("update p2pgan.runs set digest = 'x' where id = %s", "the run has other weights than its newest"),
        ("update p2pgan.runs set images = 3 where id = %s", "the run says 3 images, its newest version 2"),
        (
            "delete from p2pgan.manifests where run_id = %s and version = 0",
            "the weights of version 0 are not stored: there is 2",
        ),
        (
            "update p2pgan.manifests set stored = false, chunks = '{}' where run_id = %s and version = 2",
            "the newest weights that are stored are version 0, not 2",
        ),
        (
            "with gone as (delete from p2pgan.manifests where run_id = %s and version = 1 returning *)"
            " delete from p2pgan.contributions c using gone g"
            " where c.run_id = g.run_id and c.version = g.version",
            "the history begins with version 2",
        ),
        (
            "with gone as (delete from p2pgan.manifests where run_id = %s and version = 2 returning *)"
            " delete from p2pgan.contributions c using gone g"
            " where c.run_id = g.run_id and c.version = g.version",
            "the run is at version 2, its history ends with version 1",
        ),
    ],
)
def test_rows_that_somebody_damaged_are_found(
    server: str,
    scene: Scene,
    records: list[VersionRecord],
    capsys: pytest.CaptureFixture[str],
    damage: str,
    line: str,
) -> None:
    with psycopg.connect(server, autocommit=True) as database:
        database.execute("set session_replication_role = replica")  # as if by a hand that no rule stops
        database.execute(damage, (scene.run.id,))
    assert audit(server, scene) == 1
    out, err = capsys.readouterr()
    assert line in out
    assert err == ""


@pytest.mark.parametrize(
    "damage",
    ["length = -1", "images = -5", "chunks = array[null::text], stored = true", "digest = repeat('x', 99)"],
)
def test_weights_whose_row_is_damaged_are_not_drawn_from(
    server: str, scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    with psycopg.connect(server, autocommit=True) as database:
        database.execute(f"update p2pgan.manifests set {damage} where run_id = {scene.run.id}")
    for command, out in (("generate", "faces.png"), ("export", "faces.safetensors")):
        flags = ["--rendezvous", server, "--run", scene.run.name, "--out", str(tmp_path / out)]
        assert run([command, *flags]) == 2
        assert "version 0 is damaged in the database: " in capsys.readouterr().err


def test_a_damaged_journal_is_a_problem_and_stays_as_it_is(
    server: str,
    scene: Scene,
    records: list[VersionRecord],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a.sqlite"
    write_journal(path, scene, records * 100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff" * (len(data) - len(data) // 2))
    before = path.read_bytes()
    assert audit(server, scene, str(path)) == 1
    assert f"the journal {path} is damaged: " in capsys.readouterr().out
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.sqlite"]


def test_a_file_that_is_no_journal_is_refused_and_left_alone(
    server: str, scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"\x89PNG and pixels" * 1000)
    assert audit(server, scene, str(photo)) == 2
    assert f"{photo} is not a journal of p2pgan" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["photo.png"]
    assert audit(server, scene, "a" * 5000) == 2
    assert "cannot be read: File name too long" in capsys.readouterr().err
