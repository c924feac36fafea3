"""``p2pgan audit`` on histories that are sound, and on some that are not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psycopg
import pytest

from p2pgan.cli.main import run
from p2pgan.journal import Journal
from p2pgan.protocol.ids import Span, VersionRecord
from tests.contract.rendezvous.scenes import UNIT, Scene


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


def test_a_missing_journal_is_said_in_one_line(
    server: str, scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(server, scene, str(tmp_path)) == 2
    assert "there is no journal at" in capsys.readouterr().err
