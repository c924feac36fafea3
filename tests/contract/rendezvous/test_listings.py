"""``p2pgan versions`` and ``p2pgan events`` on real servers."""

from __future__ import annotations

import json
import time

import pytest

from p2pgan.cli.main import run
from p2pgan.protocol.ids import Span
from tests.contract.rendezvous.guests import Guest
from tests.contract.rendezvous.scenes import UNIT, Scene, registration


def told(
    capsys: pytest.CaptureFixture[str], command: str, server: str, scene: Scene, *flags: str
) -> list[dict[str, object]]:
    assert run([command, "--rendezvous", server, "--run", scene.run.name, "--json", *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def shown(capsys: pytest.CaptureFixture[str], command: str, server: str, scene: Scene) -> str:
    assert run([command, "--rendezvous", server, "--run", scene.run.name]) == 0
    text = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in text)
    return text


@pytest.fixture
def versions(scene: Scene) -> Scene:
    scene.record(("A", Span(0, 0, 0, 100)), ("B", Span(0, 0, 100, 200)), ("B", Span(0, 0, 200, UNIT)))
    scene.record(("A", Span(0, 1, UNIT, UNIT + 50)))
    assert scene.commit(*scene.records).committed
    return scene


def test_versions_with_the_newest_last(
    server: str, versions: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = told(capsys, "versions", server, versions)
    assert [(row["version"], row["gained"], row["images"], row["peers"], row["stored"]) for row in rows] == [
        (0, 0, 0, 0, True),
        (1, UNIT, UNIT, 2, False),
        (2, 50, UNIT + 50, 1, True),
    ]
    assert rows[2]["digest"] == versions.records[1].digest and rows[2]["name"] == "name of A"
    assert [versions.rendezvous.contributors(versions.run.id, version) for version in range(3)] == [0, 2, 2]
    assert versions.rendezvous.stored_versions(versions.run.id) == (0, 2)
    assert isinstance(rows[2]["at"], float) and abs(rows[2]["at"] - time.time()) < 600
    assert [row["version"] for row in told(capsys, "versions", server, versions, "--limit", "1")] == [2]


def test_what_others_chose_is_text_in_both(
    server: str, versions: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    versions.rendezvous.register_peer(versions.run.id, registration("A", name="[/red]\u202e"))
    versions.rendezvous.write_event(versions.run.id, "A", "note", "[bold]boom\x1b]0;x\x07[/]")
    assert "[/red]" in shown(capsys, "versions", server, versions)
    assert "[bold]boom" in shown(capsys, "events", server, versions)


def test_events_with_the_newest_last(server: str, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.rendezvous.write_event(scene.run.id, "B", "note", "first")
    scene.rendezvous.write_event(scene.run.id, None, "note", "second")
    rows = told(capsys, "events", server, scene)
    assert [(row["name"], row["text"], row["mark"]) for row in rows][-2:] == [
        ("name of B", "first", False),
        ("", "second", False),
    ]
    assert {row["kind"] for row in rows if row["mark"]} >= {"joined", "pen"}
    assert [row["text"] for row in told(capsys, "events", server, scene, "--limit", "1")] == ["second"]
    assert "note      name of B: first" in shown(capsys, "events", server, scene)


def test_logins_are_for_those_who_may_invite(
    server: str, alice: Guest, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["peers", "--rendezvous", server]) == 0
    assert alice.login in capsys.readouterr().out
    assert run(["peers", "--rendezvous", alice.dsn]) == 2
    assert "may not see the others' logins: p2pgan status shows" in capsys.readouterr().err


def test_an_invited_login_may_read_both(
    alice: Guest, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "versions", alice.dsn, scene)
    assert told(capsys, "events", alice.dsn, scene)
