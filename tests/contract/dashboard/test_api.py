"""The API as a browser and a program meet it, over HTTP, on a real Postgres."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from p2pgan.dashboard.server import Dashboard
from p2pgan.errors import ConfigError
from p2pgan.protocol.ids import Span
from p2pgan.protocol.metrics import Losses, PeerMetric, RoundMetric
from p2pgan.rendezvous import EmbeddedPostgres
from tests.contract.rendezvous.scenes import Scene, registration

HOSTILE = "<img src=x onerror=alert(1)>"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def told(self) -> object:
        return json.loads(self.body)


def get(page: Dashboard, path: str, method: str = "GET", **headers: str) -> Answer:
    address = urlsplit(page.url)
    connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def test_the_status_is_that_of_the_command(dashboard: Dashboard, scene: Scene) -> None:
    told = get(dashboard, f"/api/status?run={scene.run.name}").told
    status = scene.rendezvous.status(scene.run.id)
    assert isinstance(told, dict)
    assert list(told) == list(status)
    assert told["run"] == scene.run.name
    assert [peer["name"] for peer in told["peers"]] == ["name of A", "name of B"]


def test_what_a_run_shows_can_be_asked_for(dashboard: Dashboard, scene: Scene) -> None:
    db, run = scene.rendezvous, scene.run.id
    scene.record(("A", Span(0, 0, 0, 100)), ("B", Span(0, 0, 100, 300)))
    assert scene.commit(*scene.records).committed
    told = {peer: PeerMetric(50.0, Losses(2.0, 1.0, 0.6, 0.4)) for peer in "AB"}
    db.write_metrics(run, "A", [RoundMetric(1, 2.0, told)])
    db.write_sample(run, 1, b"\x89PNG picture")
    db.write_event(run, "B", "note", HOSTILE)

    curves = get(dashboard, f"/api/runs/{run}/curves?points=100&peer=A").told
    assert isinstance(curves, dict)
    assert (curves["mean"]["version"], curves["mean"]["loss_g"]) == ([1], [2.0])
    assert (curves["mean"]["images_per_s"], curves["mean"]["round_s"]) == ([150.0], [2.0])
    assert (curves["peers"]["peer"], curves["peers"]["images_per_s"]) == (["A"], [50.0])
    assert {"joined", "pen"} == {mark["kind"] for mark in curves["marks"]}
    assert get(dashboard, f"/api/runs/{run}/samples").told == {"versions": [1]}
    picture = get(dashboard, f"/api/runs/{run}/samples/1.png")
    assert (picture.body, picture.headers["content-type"]) == (b"\x89PNG picture", "image/png")
    assert get(dashboard, f"/api/runs/{run}/units?epoch=0").told == {
        "epoch": 0,
        "cells": [[0, 0, 1, 0], [1, 1, 0, 0], [2, 2, 0, 0], [3, 3, 0, 0]],
    }
    events = get(dashboard, f"/api/runs/{run}/events?words={quote(HOSTILE)}").told
    assert isinstance(events, dict)
    assert [(e["name"], e["text"], e["mark"]) for e in events["events"]] == [("name of B", HOSTILE, False)]
    facts = get(dashboard, f"/api/runs/{run}/peer?id=B").told
    assert isinstance(facts, dict) and facts["images"] == 200
    runs = get(dashboard, "/api/runs").told
    assert isinstance(runs, list)
    assert [(r["version"], r["newest_sample"]) for r in runs if r["id"] == run] == [(1, 1)]


def test_the_monitor_reads_a_hostile_name_as_a_label(dashboard: Dashboard, scene: Scene) -> None:
    scene.rendezvous.register_peer(scene.run.id, registration("C", name='x"} 1\\'))
    answer = get(dashboard, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'name="x\\"} 1\\\\"} ' in answer.body.decode()
    assert f'p2pgan_committed_version{{run="{scene.run.name}"}} 0' in answer.body.decode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/status?run=none", 404),
        ("/api/status?run=%00", 400),
        ("/api/runs/999999/curves", 200),
        ("/api/runs/999999/peer?id=x", 404),
        ("/api/runs/{run}/samples/7.png", 404),
        ("/api/runs/{run}/curves?first=x", 400),
        ("/api/runs/{run}/curves?points=0", 400),
        ("/api/runs/{run}/curves?points=99999999", 400),
        ("/api/runs/{run}/curves?" + "&".join(f"peer={n}" for n in range(9)), 400),
        ("/api/runs/{run}/curves?peer=%00", 400),
        ("/api/runs/{run}/events?words=%00", 400),
        ("/api/runs/{run}/events?before=-1", 400),
        ("/api/runs/{run}/units?epoch=99999999999", 400),
        ("/api/runs/99999999999999999999999999/units", 400),
        ("/api/runs/x/units", 404),
        ("/static/../app.py", 404),
        ("/static/%2e%2e/app.py", 404),
        ("/elsewhere", 404),
    ],
)
def test_what_cannot_be_is_refused(dashboard: Dashboard, scene: Scene, path: str, status: int) -> None:
    assert get(dashboard, path.format(run=scene.run.id)).status == status


@pytest.mark.parametrize("path", ["/", "/api/status?run=none", "/static/main.js", "/nowhere"])
def test_every_answer_says_what_a_browser_may_do(dashboard: Dashboard, path: str) -> None:
    headers = get(dashboard, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(dashboard: Dashboard, method: str) -> None:
    assert get(dashboard, "/api/runs", method=method).status == 405


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.example.org:8266", "", "[", "x y"])
def test_a_name_that_was_led_here_is_turned_away(dashboard: Dashboard, host: str) -> None:
    assert get(dashboard, "/api/runs", Host=host).status in (400, 421)
    assert get(dashboard, "/api/runs", Host="localhost:1").status == 200


def test_beyond_this_machine_a_token_is_needed(postgres: EmbeddedPostgres, scene: Scene) -> None:
    with Dashboard(postgres.dsn, host="0.0.0.0", port=0) as page:
        token = page.url.partition("token=")[2]
        assert len(token) >= 32
        for path in ("/", "/api/runs", "/metrics", "/static/main.js", "/?token=wrong", "/?token=%C3%A9"):
            assert get(page, path).status == 401
        assert get(page, "/api/runs", Authorization=f"Bearer {token}").status == 200
        assert get(page, "/api/runs", Authorization="Bearer x").status == 401
        assert get(page, f"/metrics?token={token}").status == 200
        first = get(page, f"/?run=3&token={token}")
        assert (first.status, first.headers["location"]) == (303, "/?run=3")
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
        assert get(page, "/api/runs", Cookie=cookie.partition(";")[0]).status == 200
    with Dashboard(postgres.dsn, port=0) as page:
        assert "token" not in page.url


def test_a_taken_port_is_passed_over(postgres: EmbeddedPostgres, dashboard: Dashboard) -> None:
    taken = urlsplit(dashboard.url).port
    assert taken is not None
    with Dashboard(postgres.dsn, port=taken) as second:
        assert (urlsplit(second.url).port or 0) > taken
        assert get(second, "/").status == 200


def test_a_host_that_is_not_ours_is_one_line(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(ConfigError, match="--host"), Dashboard(postgres.dsn, host="192.0.2.1"):
        pass


@contextmanager
def events(page: Dashboard, run: int) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(page.url).port or 0, timeout=60)
    connection.request("GET", f"/api/runs/{run}/stream")
    with connection.getresponse() as response:
        yield response
    connection.close()


def until(stream: http.client.HTTPResponse, event: str) -> dict[str, object] | str:
    """The next news of that kind."""
    while line := stream.readline():
        if line.strip() == f"event: {event}".encode():
            told: dict[str, object] | str = json.loads(stream.readline().removeprefix(b"data: "))
            return told
    raise AssertionError(f"the stream ended without {event}")


def test_a_stream_survives_a_restart_of_the_database(
    postgres: EmbeddedPostgres, dashboard: Dashboard, scene: Scene
) -> None:
    with events(dashboard, scene.run.id) as stream:
        view = until(stream, "view")
        assert isinstance(view, dict)
        assert isinstance(view["status"], dict) and view["status"]["run"] == scene.run.name
        postgres.crash()
        away = str(until(stream, "away"))
        assert "127.0.0.1" in away
        refused = get(dashboard, "/api/runs")
        assert refused.status == 503
        password = str(conninfo_to_dict(postgres.dsn)["password"])
        assert password not in away + refused.body.decode()
        assert b"p2pgan_up 0" in get(dashboard, "/metrics").body
        postgres.start()
        assert until(stream, "view")


def test_a_run_that_is_not_there_is_told(dashboard: Dashboard) -> None:
    with events(dashboard, 999_999) as stream:
        assert "does not exist" in str(until(stream, "gone"))


def test_an_end_with_watchers_ends_their_streams(postgres: EmbeddedPostgres, scene: Scene) -> None:
    with ExitStack() as stack:
        with Dashboard(postgres.dsn, port=0) as page:
            stream = stack.enter_context(events(page, scene.run.id))
            until(stream, "view")
        assert stream.read().count(b"event: ") <= 2
