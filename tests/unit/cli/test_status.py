from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from p2pgan import rendezvous
from p2pgan.cli.main import run
from p2pgan.rendezvous import PeerStatus, RunState, StatusSnapshot


def snapshot(*peers: PeerStatus) -> StatusSnapshot:
    return StatusSnapshot(
        run="faces",
        version=41,
        committed_version=40,
        digest="0" * 64,
        term=3,
        leader="A" if peers else None,
        epoch=2,
        images=12_000,
        images_per_s=10.4,
        last_commit_age_s=7.2,
        units={"open": 1, "leased": 2, "done": 30},
        peers=list(peers),
    )


ADA = PeerStatus(
    id="A",
    name="ada",
    state="active",
    device="cpu",
    images_per_s=10.4,
    last_seen_s=1.0,
    version=41,
    digest="0123456789",
    set_aside="",
    offences=3,
)


def shown(
    state: RunState, of: StatusSnapshot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    @contextmanager
    def opened(_place: str) -> Iterator[SimpleNamespace]:
        row = SimpleNamespace(id=1, name="x", state=state)
        yield SimpleNamespace(find_run=lambda _: row, status=lambda _: of)

    monkeypatch.setattr(rendezvous, "open_rendezvous", opened)
    assert run(["status", "--rendezvous", "postgresql://db/gan"]) == 0
    return capsys.readouterr().out


def test_a_run_that_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown("active", snapshot(ADA), monkeypatch, capsys).splitlines()
    assert lines[:4] == [
        "run faces, version 40, last commit 7 s ago",
        "term 3, led by ada; epoch 2",
        "12,000 images counted, 10 images/s",
        "units: 1 open, 2 leased, 30 done",
    ]
    assert any("ada" in line and "01234567" in line for line in lines[4:])
    assert lines[-1] == "ada: 3 offences, things sent that no peer may send"


def test_a_run_that_has_finished_says_so_and_nothing_of_leaders_and_leases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown("finished", snapshot(), monkeypatch, capsys)
    assert text.splitlines() == [
        "run faces, finished: version 40, last commit 7 s ago",
        "12,000 images counted, 30 units done",
    ]


def test_one_is_not_several(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = snapshot()
    one.update(units={"open": 0, "leased": 0, "done": 1})
    assert ", 1 unit done" in shown("finished", one, monkeypatch, capsys)


def test_what_others_chose_is_neither_markup_nor_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = PeerStatus(**ADA)
    hostile.update(name="[/]", device="[/]\x1b[2J", digest="[/red]\x07", set_aside="[/] for \x1b]0;x\x07")
    of = snapshot(hostile)
    of.update(run="faces\x1b[2J\r\u202e")
    text = shown("active", of, monkeypatch, capsys)
    assert "[/]" in text
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("absence", [{"state": "left"}, {"last_seen_s": 40.0}], ids=str)
def test_nobody_is_here(
    absence: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = PeerStatus(**{**ADA, **absence})  # type: ignore[typeddict-item]  # one of its own keys
    of = snapshot(gone)
    of.update(leader=None)
    text = shown("active", of, monkeypatch, capsys)
    assert "nobody is here; the run waits at version 40" in text
    assert "led by" not in text
