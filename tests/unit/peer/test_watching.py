"""A peer's facts as calls of a program's callbacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan import Callbacks
from p2pgan.gan.units import UnitStats
from p2pgan.peer.facts import Standing
from p2pgan.peer.log import Log
from p2pgan.peer.watching import Watching
from tests.unit.peer.test_lines import RECORD, UNIT


class Heard(Callbacks):
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def on_unit(self, stats: UnitStats) -> None:
        self.calls.append(("unit", stats))

    def on_progress(self, images: int, goal: int) -> None:
        self.calls.append(("progress", images, goal))

    def on_notice(self, text: str) -> None:
        self.calls.append(("notice", text))

    def on_samples(self, images: int, path: Path) -> None:
        self.calls.append(("samples", images, path.read_bytes()))


def tell(log: Log) -> None:
    log.note("peer", "ada listens")
    log.unit(UNIT)
    log.version(RECORD, 1, 512, 1.5)
    log.samples(1536, b"a picture")
    log.standing(Standing("gan", ()))
    log.note("training", "D has collapsed")


@pytest.mark.parametrize("form", ["lines", "json"])
def test_a_program_hears_what_concerns_it_and_lines_show_no_picture(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = Heard()
    with Log("json" if form == "json" else "lines") as log:
        log.track([Watching(heard, 5000, tmp_path)])
        tell(log)
    assert heard.calls == [
        ("unit", UNIT),
        ("progress", 1536, 5000),
        ("samples", 1536, b"a picture"),
        ("notice", "D has collapsed"),
    ]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_who_raises_is_told_nothing_more_and_others_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Callbacks):
        def on_unit(self, stats: UnitStats) -> None:
            raise ValueError(f"no unit {stats.unit}")

        def on_notice(self, text: str) -> None:
            raise AssertionError("it was left out")

    heard = Heard()
    with Log("lines") as log:
        log.track([Watching(Broken(), 0, tmp_path), Watching(heard, 0, tmp_path)])
        tell(log)
    assert "it fails, and is left out from now on: no unit 42" in capsys.readouterr().out
    assert len(heard.calls) == 4
