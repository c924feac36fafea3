"""``p2pgan doctor`` on real servers."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from p2pgan.cli.main import run
from p2pgan.rendezvous import PeerStat, Rendezvous
from p2pgan.rendezvous.checkup import Distance
from p2pgan.rendezvous.dsn import redirected
from p2pgan.rendezvous.migrations import packaged_migrations
from p2pgan.transport import Arrival, PeerAddress, StrangerSeen, Transport, new_keys
from p2pgan.transport.curve import load_keys
from tests.contract.rendezvous.guests import Guest
from tests.contract.rendezvous.scenes import Scene, registration


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PGAN_STATE", str(tmp_path))


def report(
    dsn: str, capsys: pytest.CaptureFixture[str], *flags: str, code: int = 0
) -> dict[str, dict[str, object]]:
    assert run(["doctor", "--json", "--bind", "127.0.0.1", "--rendezvous", dsn, *flags]) == code
    text = capsys.readouterr().out
    assert str(psycopg.conninfo.conninfo_to_dict(dsn)["password"]) not in text
    return {check["check"]: check for check in json.loads(text)["checks"]}


def test_a_run_that_can_be_joined(server: str, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    checks = report(server, capsys, "--run", scene.run.name)
    assert {checks[name]["mark"] for name in ("database", "postgres", "latency", "clock", "run")} == {"ok"}
    assert checks["tables"]["facts"] == {k: len(packaged_migrations()) for k in ("schema", "needed")}
    assert str(checks["rights"]["text"]).endswith("may lead, join and invite")
    latency, clock = checks["latency"]["facts"], checks["clock"]["facts"]
    assert isinstance(latency, dict) and 0 < latency["median_s"] < 1
    assert isinstance(clock, dict) and abs(clock["database_ahead_s"]) < 1


def test_images_of_another_run(server: str, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    checks = report(server, capsys, "--run", scene.run.name, "--dataset", "digits", code=1)
    text = str(checks["dataset"]["text"])
    assert f"not those of the run {scene.run.name}" in text and "troubleshooting.md#other-images" in text


def test_images_that_are_not_where_the_run_says(
    server: str, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = report(server, capsys, "--run", scene.run.name)
    assert str(checks["dataset"]["text"]).startswith("digits is here, as the run says")
    with psycopg.connect(server) as admin:
        elsewhere = "update p2pgan.runs set config = config || %s where id = %s"
        admin.execute(elsewhere, ['{"dataset": "zip:/teachers/faces.zip"}', scene.run.id])
    checks = report(server, capsys, "--run", scene.run.name, code=1)
    text = str(checks["dataset"]["text"])
    assert checks["dataset"]["mark"] == "mend" and "/teachers/faces.zip" in text and "--dataset" in text


def stay(server: str, scene: Scene) -> None:
    """However slow the machine is, nobody of the run counts as silent."""
    with psycopg.connect(server) as admin:
        admin.execute(
            "update p2pgan.peers set last_seen = clock_timestamp() + interval '1 hour' where run_id = %s",
            [scene.run.id],
        )


def test_those_who_are_here_are_dialled(
    server: str, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as ended:
        here = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        gone = f"tcp://127.0.0.1:{ended.getsockname()[1]}"
        ended.close()
        for peer, address in (("A", here), ("B", gone)):
            scene.rendezvous.register_peer(scene.run.id, replace(registration(peer), control_address=address))
        stay(server, scene)
        checks = report(server, capsys, "--run", scene.run.name)
        assert (checks["dial"]["mark"], checks["dial"]["facts"]) == ("note", {"dialled": 2, "silent": 1})
        scene.rendezvous.set_peer_state(scene.run.id, "B", "left")
        assert report(server, capsys, "--run", scene.run.name)["dial"]["mark"] == "ok"
        scene.rendezvous.set_peer_state(scene.run.id, "A", "left")
    assert "nobody else" in str(report(server, capsys, "--run", scene.run.name)["dial"]["text"])


def test_a_running_peer_is_told_whether_others_reach_it(
    server: str, scene: Scene, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    me = load_keys(tmp_path / "ada").public
    flags = ("--run", scene.run.name, "--name", "ada")
    assert "ask then" in str(report(server, capsys, *flags)["reach"]["text"])
    scene.rendezvous.register_peer(scene.run.id, registration(me))
    for reached, mark in ((False, "note"), (True, "ok")):
        stat = PeerStat(me, "active", 1.0, 0, "", reached=reached)
        assert scene.rendezvous.roll_up(scene.run.id, "A", 1, [stat])
        stay(server, scene)
        assert report(server, capsys, *flags)["reach"]["mark"] == mark


@contextmanager
def neighbour(scene: Scene, walled: bool) -> Iterator[None]:
    """Somebody in the run who dials whoever knocks, but does not get through if a wall is in between."""
    arrivals: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
    keys = new_keys()
    with Transport(keys, deliver=arrivals.put) as transport:
        listens = transport.start()
        me = replace(registration(keys.public), control_address=listens.control, bulk_address=listens.bulk)
        scene.rendezvous.register_peer(scene.run.id, me)

        def dial_back() -> None:
            while (arrival := arrivals.get()) is not None:
                if isinstance(arrival, StrangerSeen):
                    known = scene.rendezvous.list_peers(scene.run.id).peers
                    nowhere = PeerAddress("tcp://127.0.0.9:1", "tcp://127.0.0.9:1")
                    transport.set_peers(
                        {
                            p.id: nowhere if walled else PeerAddress(p.control_address, p.bulk_address)
                            for p in known
                            if p.id == arrival.key
                        }
                    )

        thread = threading.Thread(target=dial_back)
        thread.start()
        try:
            yield
        finally:
            arrivals.put(None)
            thread.join()
            scene.rendezvous.set_peer_state(scene.run.id, keys.public, "left")


@pytest.mark.parametrize(("walled", "mark"), [(False, "ok"), (True, "mend")])
def test_those_who_are_here_dial_back(
    server: str, scene: Scene, capsys: pytest.CaptureFixture[str], walled: bool, mark: str
) -> None:
    flags = ("--run", scene.run.name, "--dial-back")
    for fake in ("A", "B"):
        scene.rendezvous.register_peer(scene.run.id, registration(fake))
        scene.rendezvous.set_peer_state(scene.run.id, fake, "left")
    with neighbour(scene, walled):
        stay(server, scene)
        back = report(server, capsys, *flags, code=int(walled))["back"]
    assert (back["mark"], back["facts"]["came"]) == (mark, int(not walled))  # type: ignore[index]  # a mapping
    assert walled == str(back["text"]).endswith("(troubleshooting.md#firewall)")
    (row,) = [p for p in scene.rendezvous.list_peers(scene.run.id).peers if p.name.endswith("-doctor")]
    assert (row.can_lead, row.state) == (False, "left")
    assert "nobody else" in str(report(server, capsys, *flags)["back"]["text"])


def test_a_run_that_is_not_there(server: str, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(server, capsys, "--run", "elsewhere", code=1)["run"]["mark"] == "mend"


def test_a_run_that_has_finished(server: str, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert scene.rendezvous.finish_run(scene.run.id, "A", 1)
    assert report(server, capsys, "--run", scene.run.name)["run"]["mark"] == "note"


def test_an_empty_database(fresh_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    checks = report(fresh_dsn, capsys)
    assert checks["tables"]["mark"] == "ok" and "p2pgan lead" in str(checks["tables"]["text"])
    assert "rights" not in checks and "run" not in checks


def test_a_database_of_a_newer_release(
    fresh: Rendezvous, fresh_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(fresh_dsn, autocommit=True) as admin:
        admin.execute("insert into p2pgan.migrations (number, name) values (9999, 'later')")
    tables = report(fresh_dsn, capsys, code=1)["tables"]
    assert str(tables["text"]).endswith("install the newer p2pgan (troubleshooting.md#release)")


def test_an_invited_login(alice: Guest, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    checks = report(alice.dsn, capsys, "--run", scene.run.name)
    assert checks["rights"]["text"] == f"{alice.login} may join, and hold the pen"


def test_a_login_that_was_never_invited(
    server: str, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("create role stranger login password 'let-me-in-please'")
        parts = psycopg.conninfo.conninfo_to_dict(server)
        theirs = psycopg.conninfo.make_conninfo(
            **{**parts, "user": "stranger", "password": "let-me-in-please"}
        )
        try:
            checks = report(theirs, capsys, code=1)
        finally:
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier("stranger")))
    assert checks["tables"]["mark"] == "mend" and "permission denied" in str(checks["tables"]["text"])


def test_nobody_answers(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    database = report(redirected(server, "127.0.0.1", 1), capsys, code=1)["database"]
    assert database["mark"] == "mend" and "cannot be reached" in str(database["text"])
    assert "troubleshooting.md#database-port" in str(database["text"])


def test_a_clock_that_is_wrong(
    server: str, scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rendezvous, "distance", lambda _: Distance(0.001, -3600.0))
    clock = report(server, capsys, "--run", scene.run.name)["clock"]
    assert clock["mark"] == "note" and "3600.000 s behind" in str(clock["text"])
    assert str(clock["text"]).endswith("(troubleshooting.md#clock)")


def test_no_embedded_database_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"embedded:{tmp_path / 'nothing'}"
    assert run(["doctor", "--bind", "127.0.0.1", "--rendezvous", place]) == 0
    assert "there is no embedded Postgres" in capsys.readouterr().out
    assert not (tmp_path / "nothing").exists()
