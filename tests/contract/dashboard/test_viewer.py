"""The login of docs/dashboard.md for whoever only looks: it sees what the page shows, and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from p2pgan.dashboard.server import Dashboard
from p2pgan.protocol.ids import Span
from p2pgan.rendezvous import EmbeddedPostgres
from tests.contract.dashboard.test_api import get
from tests.contract.rendezvous.scenes import Scene

PAGE = Path(__file__).parents[3] / "docs" / "dashboard.md"
CHANGES = (
    "update p2pgan.peers set name = 'mallory'",
    "delete from p2pgan.samples",
    "insert into p2pgan.events (run_id, kind, text) values (1, 'pen', 'x')",
    "select p2pgan.acquire_lease(1, 'A', 6)",
)


@pytest.fixture
def viewer(postgres: EmbeddedPostgres, scene: Scene) -> Iterator[str]:
    """Its DSN, made as the page says."""
    (recipe,) = re.findall(
        r"^```sql\n(create role viewer .*?)```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(recipe)
        yield make_conninfo(postgres.dsn, user="viewer", password="choose-one")
        admin.execute("drop owned by viewer")
        admin.execute("drop role viewer")


def test_who_only_looks_sees_everything(viewer: str, scene: Scene) -> None:
    scene.record(("A", Span(0, 0, 0, 100)))
    assert scene.commit(*scene.records).committed
    run = scene.run.id
    scene.rendezvous.write_sample(run, 1, b"\x89PNG picture")
    with Dashboard(viewer, port=0) as page:
        told = get(page, f"/api/status?run={scene.run.name}").told
        assert isinstance(told, dict)
        assert [peer["name"] for peer in told["peers"]] == ["name of A", "name of B"]
        parts = ("curves", "units", "events", "samples", "samples/1.png", "peer?id=A")
        answers = {part: get(page, f"/api/runs/{run}/{part}").status for part in parts}
        assert answers == dict.fromkeys(parts, 200)
        assert get(page, "/api/runs").status == 200
        assert b"p2pgan_up 1" in get(page, "/metrics").body


@pytest.mark.parametrize("change", CHANGES)
def test_who_only_looks_changes_nothing(viewer: str, change: str) -> None:
    with (
        psycopg.connect(viewer, autocommit=True) as line,
        pytest.raises(psycopg.Error, match="permission denied"),
    ):
        line.execute(change)
