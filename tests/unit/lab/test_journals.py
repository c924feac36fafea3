from __future__ import annotations

from pathlib import Path

from p2pgan.journal import Journal, UnitLine, read_versions
from p2pgan.lab.journals import images_redone, read_trained, read_units
from p2pgan.lab.process import PeerProcess
from p2pgan.peer.options import JoinOptions
from p2pgan.protocol.history import last_lineage
from p2pgan.protocol.ids import Contribution, Span, VersionRecord


def _version(number: int, digest: str, parent: str, *spans: Span) -> VersionRecord:
    return VersionRecord(
        version=number,
        digest=digest,
        parent_digest=parent,
        term=1,
        attempt=0,
        leader="ada",
        images=0,
        contributions=(Contribution("ada", spans),) if spans else (),
    )


def test_the_lab_reads_the_journal_where_the_peer_writes_it(tmp_path: Path) -> None:
    process = PeerProcess("ada", [], tmp_path / "ada", {})
    options = JoinOptions(rendezvous="embedded:x", name="ada", state_dir=process.state_dir)
    assert process.journal == options.journal_path


def test_rounds_that_a_crash_undid_are_not_of_the_lineage() -> None:
    undone = [_version(1, "a", "0"), _version(2, "b", "a"), _version(3, "lost", "b")]
    redone = [_version(3, "c", "b"), _version(4, "d", "c")]
    assert last_lineage([*undone, *redone]) == tuple(redone)
    assert last_lineage(redone) == tuple(redone)
    assert last_lineage([]) == ()


def test_units_and_versions_come_out_of_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    record = _version(1, "a", "0")
    with Journal(path, clock=lambda: 1_060.0) as journal:
        journal.add_unit("lab", UnitLine(0, 1, 512, 2.0, 1.5, 0.5, 0.6, 0.4, 256.0))
        journal.add_version("lab", record)
    (point,) = read_units(path, "lab", since=1_000.0)
    assert (point.seconds, point.loss_g, point.d_fake) == (60.0, 1.5, 0.4)
    assert read_versions(path, "lab") == (record,)
    assert read_versions(path, "other") == ()


def test_a_peer_without_a_journal_wrote_nothing(tmp_path: Path) -> None:
    assert read_units(tmp_path / "none.sqlite", "lab", 0) == ()
    assert read_versions(tmp_path / "none.sqlite", "lab") == ()
    assert not (tmp_path / "none.sqlite").exists()
    assert read_trained(tmp_path / "none.sqlite", "lab") == []


def test_what_was_learned_and_lost_is_trained_again(tmp_path: Path) -> None:
    lost, kept = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    for path, trained in ((lost, [(0, 128), (1, 64)]), (kept, [(0, 256), (0, 256), (2, 512)])):
        with Journal(path) as journal:
            for unit, images in trained:
                journal.add_unit("lab", UnitLine(0, unit, images, 2.0, 1.5, 0.5, 0.6, 0.4, 256.0))
    history = [
        _version(1, "a", "0", Span(0, 0, 0, 256)),
        _version(2, "b", "a", Span(0, 0, 256, 512), Span(0, 1, 512, 576)),
    ]
    trained = [*read_trained(lost, "lab"), *read_trained(kept, "lab")]
    # 128 images of the first unit were trained twice; the last unit counts nowhere yet.
    assert images_redone(history, trained) == 128
    assert images_redone(history, read_trained(kept, "lab")) == 0
