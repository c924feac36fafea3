from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from p2pgan import rendezvous
from p2pgan.cli.main import run
from p2pgan.rendezvous import PeerStatus, RunState, ScoreShown, SignalsShown, StatusSnapshot


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
        signals=None,
        traffic=None,
        best_version=None,
        scores=[],
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
    spans=2,
    reached=True,
    signals=None,
    traffic=None,
)
SHOWN = SignalsShown(
    version=39,
    loss_g=1.0,
    loss_d=1.0,
    d_real=0.6,
    d_fake=0.4,
    sign_real=0.5,
    sign_held_out=None,
    r1=0.0123,
    grad_g=1.0,
    grad_d=2.0,
    diversity=0.61,
    cosine=0.7,
    drift=0.95,
)


def shown(
    state: RunState,
    of: StatusSnapshot,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loss: str = "bce",
) -> str:
    @contextmanager
    def opened(_place: str) -> Iterator[SimpleNamespace]:
        row = SimpleNamespace(id=1, name="x", state=state, config={"gan": {"loss": {"name": loss}}})
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


def test_what_a_round_takes_on_the_wire(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = snapshot(ADA)
    seen["traffic"] = {"version": 39, "sent": 1_250_000, "received": 1_300}
    lines = shown("active", seen, monkeypatch, capsys).splitlines()
    assert lines[-1] == "version 39 took 1.2 MB sent and 1.3 kB received by each peer, on average"


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


def test_signals_of_the_version_and_of_each_peer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told, peer = snapshot(ADA), ADA.copy()
    told.update(signals=SHOWN, peers=[peer])
    peer.update(signals=SignalsShown(**{**SHOWN, "cosine": 0.81}))  # type: ignore[typeddict-item]  # of many types
    text = shown("active", told, monkeypatch, capsys)
    assert (
        "version 39 showed: D(x) 0.60, D(G(z)) 0.40, sign 0.50, R1 0.012, gradients 1 2, "
        "diversity 0.61, cosine 0.70, drift 0.95"
    ) in text
    assert any("ada" in line and "0.81" in line for line in text.splitlines())
    assert "warning" not in text


def test_the_signals_of_peers_fit_a_usual_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told, peer = snapshot(ADA), ADA.copy()
    told.update(signals=SHOWN, peers=[peer])
    peer.update(name="laptop-14", signals=SHOWN)
    lines = shown("active", told, monkeypatch, capsys).splitlines()
    assert any({"D(x)", "D(G(z))", "gradients", "diversity", "drift"} <= set(line.split()) for line in lines)
    assert any(line.startswith("laptop-14 39") and line.rstrip().endswith("0.95") for line in lines)


def test_a_collapse_names_the_command_that_goes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = snapshot(ADA)
    told["signals"] = SignalsShown(**{**SHOWN, "d_fake": 0.6, "grad_g": 0.0})  # type: ignore[typeddict-item]  # as above
    text = shown("active", told, monkeypatch, capsys)
    assert "warning: D tells nothing apart any more and G learns nothing: D has collapsed" in text
    assert "p2pgan rollback --rendezvous DSN --run faces --to VERSION" in text


def test_what_is_wrong_is_judged_by_the_loss(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = snapshot(ADA)
    told["signals"] = SignalsShown(**{**SHOWN, "sign_real": 0.99})  # type: ignore[typeddict-item]  # as above
    assert "warning" not in shown("active", told, monkeypatch, capsys)
    text = shown("active", told, monkeypatch, capsys, "rp")
    assert "warning: D is too sure (sign 0.99): lower lr_d, or raise R1" in text


def test_the_newest_score_and_the_best(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = snapshot(ADA)
    told["scores"] = [
        ScoreShown(version=v, fid=fid, floor=0.5, images=1000, extractor="builtin")
        for v, fid in ((20, 3.0), (40, 4.0))
    ]
    told["best_version"] = 20
    text = shown("active", told, monkeypatch, capsys)
    assert "version 40 scored FID 4.000, floor 0.500; the best of those kept is version 20, FID 3.000" in text
