"""A real run under attack: who offends is seen in the status, secrets stay where they belong, and a copy of a
key does not get in beside it."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from p2pgan.rendezvous import EmbeddedPostgres, PeerRegistration
from p2pgan.transport import PeerAddress
from tests.attacks.shown import everything_shown
from tests.contract.transport.parties import RawPeer
from tests.integration.run.conftest import postgres, swarms
from tests.integration.run.processes import DEADLINE_S, start_command
from tests.integration.run.swarm import Swarm

__all__ = ["postgres", "swarms"]

PASSWORD = "open-Sesame-7f3a"
MALFORMED = (40, 25)
"""How often the leader and a follower get something that is no message."""


@pytest.fixture
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Iterator[Swarm]:
    """A run whose peers log in with a password that is easy to find again."""
    made = swarms(postgres)
    login = f"teacher_{made.run.replace('-', '_')}"
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(
            sql.SQL("create role {} superuser login password {}").format(sql.Identifier(login), PASSWORD)
        )
    made.dsn = make_conninfo(postgres.dsn, user=login, password=PASSWORD)
    return made


def said_by(*commands: subprocess.Popen[str]) -> list[str]:
    """What each of ``commands``, which run at the same time, has to say."""
    return ["".join(command.communicate(timeout=DEADLINE_S)) for command in commands]


def attack(swarm: Swarm, raw: RawPeer, name: str, times: int) -> None:
    """Say nonsense to a peer, as somebody who is registered."""
    row = next(p for p in swarm.database.list_peers(swarm.run_id).peers if p.name == name)
    dealer = raw.dealer()
    dealer.curve_serverkey = row.id.encode()
    dealer.curve_publickey = raw.id.encode()
    dealer.curve_secretkey = raw.keys.secret.encode()
    dealer.connect(PeerAddress(row.control_address, row.bulk_address).control)
    for _ in range(times):
        dealer.send(b"nonsense")


def test_a_run_under_attack(swarm: Swarm, raw: RawPeer) -> None:
    swarm.create()
    swarm.start("ada", command="lead")
    swarm.until(swarm.leader, "a leader")
    swarm.start("ben", arguments=["--debug"])
    swarm.together("ada", "ben")

    mallory = PeerRegistration(raw.id, "mallory", "cpu", raw.address.control, raw.address.bulk, False)
    swarm.database.register_peer(swarm.run_id, mallory)
    for name, times in zip(("ada", "ben"), MALFORMED, strict=True):
        attack(swarm, raw, name, times)

    def offences() -> dict[str, int]:
        return {p["name"]: p["offences"] for p in swarm.status()["peers"]}

    swarm.until(lambda: offences()["mallory"] == sum(MALFORMED), "all that was refused in the status")
    assert offences() == {"ada": 0, "ben": 0, "mallory": sum(MALFORMED)}
    status = ("status", "--run", swarm.run)
    as_json, as_text = said_by(start_command(swarm.dsn, *status, "--json"), start_command(swarm.dsn, *status))
    assert {p["name"]: p["offences"] for p in json.loads(as_json)["peers"]} == offences()
    assert f"mallory: {sum(MALFORMED)} offences" in as_text

    shown = everything_shown(swarm)
    offences_are_shown(swarm, shown)
    copied = a_copy_of_the_key_is_turned_away(swarm)
    swarm.agree(swarm.peers["ada"], swarm.peers["ben"])
    swarm.end()
    secrets_stay(swarm, copied + as_json + as_text + "\n".join(shown.values()))


def offences_are_shown(swarm: Swarm, shown: dict[str, str]) -> None:
    """The dashboard's interface, its stream and its metrics say who offends."""
    for path in (f"/api/status?run={swarm.run}", f"/api/runs/{swarm.run_id}/stream"):
        assert f'"offences":{sum(MALFORMED)}' in shown[path]
    (line,) = (
        line
        for line in shown["/metrics"].splitlines()
        if line.startswith("p2pgan_peer_offences_total") and 'name="mallory"' in line
    )
    assert line.endswith(f" {sum(MALFORMED)}")


def a_copy_of_the_key_is_turned_away(swarm: Swarm) -> str:
    """As from another machine: the folder's lock does not reach there. What the refused process said."""
    here, there = swarm.folder / "ben" / "state", swarm.folder / "copy" / "state"
    there.mkdir(parents=True)
    shutil.copy2(here / "peer.key", there / "peer.key")
    join = ("join", "--run", swarm.run, "--bind", "127.0.0.1", "--advertise", "127.0.0.1", "--threads", "1")
    beside, elsewhere = said_by(
        *(start_command(swarm.dsn, *join, "--name", "ben", "--state-dir", str(at)) for at in (here, there))
    )
    assert "another peer uses" in beside
    assert "another process takes part as" in elsewhere
    assert "Traceback" not in beside + elsewhere
    return beside + elsewhere


def secrets_stay(swarm: Swarm, said: str) -> None:
    """Neither the password nor a private key is in any output, page, journal, event, metric or error line."""
    keys = list(swarm.folder.rglob("peer.key"))
    assert len(keys) == 3
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    secrets = [PASSWORD, conninfo_to_dict(swarm.dsn)["password"], *(key.read_text().strip() for key in keys)]
    wrong = make_conninfo(swarm.dsn, password=PASSWORD + "-wrong")
    places = (wrong, wrong + " nonsense", make_conninfo(swarm.dsn, port="1"))
    # Tracebacks tell most.
    commands = [start_command(dsn, "join", "--debug") for dsn in places]
    said += "".join(said_by(*commands))
    assert all(command.returncode for command in commands)
    tables = ("runs", "peers", "events", "metrics", "leases", "manifests")
    with psycopg.connect(swarm.dsn) as admin:
        for table in tables:
            rows = admin.execute(sql.SQL("select t::text from p2pgan.{} t").format(sql.Identifier(table)))
            said += "\n".join(str(row) for (row,) in rows)
    files = [path for path in swarm.folder.rglob("*") if path.is_file() and path.name != "peer.key"]
    assert any(path.suffix == ".sqlite" for path in files)
    kept = b"\n".join(path.read_bytes() for path in files) + said.encode()
    assert [secret[:4] + "..." for secret in secrets if str(secret).encode() in kept] == []


def test_files_of_keys_are_the_owners_alone(tmp_path: Path) -> None:
    from p2pgan.errors import ConfigError
    from p2pgan.transport import load_keys

    load_keys(tmp_path)
    key = tmp_path / "peer.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load_keys(tmp_path)
    assert key.read_text().strip() not in str(caught.value)
