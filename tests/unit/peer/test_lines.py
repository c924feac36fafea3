"""Facts as lines for people and for programs."""

from __future__ import annotations

import json
import re

import pytest

from p2pgan.gan.units import UnitStats
from p2pgan.peer.facts import Standing
from p2pgan.peer.log import Log
from p2pgan.protocol.ids import Contribution, Span, VersionRecord

UNIT = UnitStats(
    unit=42, epoch=1, images=512, seconds=16.0, loss_g=1.31, loss_d=0.62, d_real=0.8, d_fake=0.2, skipped=0
)
SPANS = (Span(0, 0, 0, 512),)
RECORD = VersionRecord(3, "d3", "d2", 2, 1, "ada", 1536, (Contribution("ada", SPANS),))


def tell(log: Log) -> None:
    log.note("peer", "ada listens")
    log.unit(UNIT)
    log.version(RECORD, 1, 512, 1.5)
    log.standing(Standing("gan", ()))


def test_people_get_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Log("lines"))
    note, unit, version = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d peer      ada listens", note)
    assert " unit      unit 42 done: 512 images in 16.0 s, G 1.31 D 0.62, D(x) 0.80" in unit
    assert version.endswith("version   version 3: 512 images of 1 peer in 1.5 s, 1536 in all")


def test_programs_get_the_numbers_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Log("json"))
    note, unit, version = map(json.loads, capsys.readouterr().out.splitlines())
    assert note == {"event": "ada listens", "kind": "peer", "timestamp": note["timestamp"]}
    assert (unit["kind"], unit["unit"], unit["loss_g"], unit["images_per_s"]) == ("unit", 42, 1.31, 32.0)
    assert (version["kind"], version["version"], version["members"]) == ("version", 3, 1)
    assert (version["images"], version["images_in_all"], version["seconds"]) == (512, 1536, 1.5)
