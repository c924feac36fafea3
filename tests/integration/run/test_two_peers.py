"""The plain way through: one leads, one joins, anyone draws from what they made."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import torch
import yaml
from PIL import Image
from psycopg.conninfo import make_conninfo

from p2pgan import load_generator
from p2pgan.rendezvous import EmbeddedPostgres
from p2pgan.rendezvous.binaries import BIN_FOLDER_VARIABLE
from tests.integration.run.processes import start_command
from tests.integration.run.server import running_postgres
from tests.integration.run.swarm import SMALL, Swarm

DEBIAN = Path("/usr/lib/postgresql/15/bin")
SIDE = 32


@pytest.fixture(scope="module", params=["embedded", "debian-15"])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A Postgres on TCP that asks for a password: the wheel's, or the one from Debian's package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(BIN_FOLDER_VARIABLE, raising=False)
        if request.param == "debian-15":
            if not (DEBIAN / "postgres").exists():
                pytest.skip("Debian's postgresql-15 is not installed")
            patch.setenv(BIN_FOLDER_VARIABLE, str(DEBIAN))
        with running_postgres() as started:
            yield started


def test_lead_join_generate_export(
    server: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm], tmp_path: Path
) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(make_conninfo(server.dsn, password="guess"))
    swarm = swarms(server)
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(dict(SMALL)))
    swarm.database.migrate()
    swarm.start(
        "ada", command="lead", arguments=["--config", str(config), "--dataset", "digits", "--dashboard"]
    )
    swarm.until(lambda: [r for r in swarm.database.list_runs() if r.name == swarm.run], "the run")
    swarm.start("ben")

    assert swarm.together("ada", "ben").name == "ada"
    swarm.agree(*swarm.peers.values())
    _shows_itself(swarm)
    swarm.end()

    _tells_what_training_showed(swarm)
    _draw(swarm, tmp_path)


def _shows_itself(swarm: Swarm) -> None:
    log = swarm.peers["ada"].log.read_text(encoding="utf-8")
    (address,) = re.findall(r"dashboard +(http://127.0.0.1:\d+/)", log)
    with urllib.request.urlopen(f"{address}api/status?run={swarm.run}", timeout=60) as answer:
        assert {peer["name"] for peer in json.load(answer)["peers"]} == {"ada", "ben"}


def _tells_what_training_showed(swarm: Swarm) -> None:
    last = swarm.history()[-1].version
    means = swarm.database.curves(swarm.run_id, 0, last, last + 1)
    assert [point.version for point in means][:2] == [1, 2]
    assert all(point.round_s and point.images_per_s for point in means)
    told = {point.peer for point in swarm.database.peer_curves(swarm.run_id, [*swarm.names()], 0, last, 9)}
    assert told == set(swarm.names())
    assert all(0 < point.loss_g < 100 and 0 <= point.d_fake <= 1 for point in means if point.loss_g)
    assert any(point.loss_g for point in means)
    taken = [point for point in means if point.bytes_sent and point.bytes_received]
    assert taken, "nobody told what a round took"
    # They send to each other and to nobody else; on top comes a donor's snapshot, of no round for the other.
    sent, received = (sum(getattr(point, way) for point in taken) for way in ("bytes_sent", "bytes_received"))
    assert sent > 0.8 * received > 0


def _draw(swarm: Swarm, folder: Path) -> None:
    """From the database and from an exported file, the same seed gives the same images."""
    grid, weights = folder / "grid.png", folder / "weights.safetensors"
    commands = [
        start_command(swarm.dsn, "generate", "--run", swarm.run, "-n", "9", "--out", str(grid)),
        start_command(swarm.dsn, "export", "--run", swarm.run, "--out", str(weights)),
        start_command(swarm.dsn, "status", "--run", swarm.run, "--json"),
    ]
    for command in commands:
        said, complaint = command.communicate(timeout=120)
        assert command.returncode == 0, complaint
    status = json.loads(said)
    assert (status["committed_version"], status["images"]) == (swarm.committed, swarm.history()[-1].images)
    stored, exported = load_generator(swarm.dsn, run=swarm.run), load_generator(weights)
    assert torch.equal(stored.sample(9, seed=1), exported.sample(9, seed=1))
    with Image.open(grid) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 3 * SIDE
