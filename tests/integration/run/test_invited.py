"""A class as it is meant to be: the owner leads, everyone else comes with an invitation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from p2pgan.peer.config import merge
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import start_command
from tests.integration.run.swarm import SMALL, Swarm


def run_command(swarm: Swarm, *arguments: str) -> str:
    command = start_command(swarm.dsn, *arguments)
    said, complaint = command.communicate(timeout=120)
    assert command.returncode == 0, complaint
    return said


def invite(swarm: Swarm, login: str) -> str:
    """The DSN in the line that the invited person is to run."""
    program, command, flag, dsn = shlex.split(run_command(swarm, "invite", login))
    assert (program, command, flag) == ("p2pgan", "join", "--rendezvous")
    return dsn


def shown_to_the_class(swarm: Swarm) -> str:
    """The DSN in the line for the blackboard, once the leader has printed it; the server is on loopback."""
    log = swarm.peers["ada"].log
    swarm.until(lambda: "and to watch: http://" in log.read_text(errors="replace"), "the blackboard")
    line = next(text for text in log.read_text().splitlines() if "p2pgan join" in text)
    assert re.search(r"and to watch: http://\S+/\?token=\w{4}-\w{4}-\w{4}$", log.read_text(), re.MULTILINE)
    assert conninfo_to_dict(swarm.dsn)["password"] not in log.read_text()
    parts = conninfo_to_dict(shlex.split(line)[5])
    return make_conninfo("", **{**parts, "host": "127.0.0.1"})


def committing_logins(swarm: Swarm) -> set[str]:
    with psycopg.connect(swarm.dsn) as admin:
        rows = admin.execute("select committed_by from p2pgan.manifests where version > 0").fetchall()
    return {str(login) for (login,) in rows}


def test_invited_logins_train_lead_and_are_revoked(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm], tmp_path: Path
) -> None:
    swarm = swarms(postgres)
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(dict(merge(SMALL, {"leadership": {"rotate_every": 2}}))))
    swarm.database.migrate()
    swarm.start("ada", command="lead", arguments=["--class", "--config", str(config), "--dataset", "digits"])
    swarm.until(lambda: [r for r in swarm.database.list_runs() if r.name == swarm.run], "the run")
    dsns = {name: invite(swarm, name) for name in ("ben", "eve")}
    with psycopg.connect(shown_to_the_class(swarm)) as guest:
        assert guest.execute("select session_user").fetchone() == ("class",)
    for name, dsn in dsns.items():
        swarm.start(name, dsn=dsn)

    swarm.together("ada", "ben", "eve")
    swarm.until(lambda: {"ben", "eve"} <= committing_logins(swarm), "commits by invited logins")
    listed = run_command(swarm, "peers")
    assert all(name in listed for name in ("ada", "ben", "eve"))

    ben = swarm.peers["ben"]
    ben.expected_end = True
    assert "ben is out" in run_command(swarm, "revoke", "ben")
    assert ben.wait(60)
    assert ben.process is not None
    assert ben.process.returncode == 2
    assert "refuses: this login was revoked" in ben.log.read_text(errors="replace")
    swarm.grow(3)
    swarm.agree(swarm.peers["ada"], swarm.peers["eve"])
    swarm.end()

    secrets = [str(conninfo_to_dict(dsn)["password"]).encode() for dsn in (*dsns.values(), swarm.dsn)]
    kept = [path for path in swarm.folder.rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept for secret in secrets if secret in path.read_bytes()] == []
    events = " ".join(event.text for event in swarm.database.events(swarm.run_id)).encode()
    assert not any(secret in events for secret in secrets)
