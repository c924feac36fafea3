"""A run that goes back to weights of before, while peers train and while nobody is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pgan.journal.lineage import read_applied
from p2pgan.rendezvous import EmbeddedPostgres, audit_run
from tests.integration.run.processes import start_command
from tests.integration.run.swarm import Swarm

PEERS = ("ada", "ben", "cleo")


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create({"leadership": {"ttl_s": 3.0, "renew_s": 1.0}})
    made.start(*PEERS)
    return made


def roll_back(swarm: Swarm, to: int) -> int:
    """By the command; the version that it made."""
    command = start_command(swarm.dsn, "rollback", "--run", swarm.run, "--to", str(to))
    said, complaint = command.communicate(timeout=120)
    assert command.returncode == 0, complaint
    made = int(said.split()[1])
    assert said == f"version {made} of {swarm.run} has the weights of version {to}; all go on from there\n"
    return made


def test_peers_that_train_take_it_in_and_go_on_together(swarm: Swarm) -> None:
    swarm.together(*PEERS)
    target = swarm.grow(2)
    old = swarm.database.read_manifest(swarm.run_id, 0)
    made = roll_back(swarm, 0)
    assert made > target
    swarm.together(*PEERS)
    swarm.agree(*swarm.peers.values())
    record = swarm.history()[made - 1]
    assert (record.digest, record.contributions) == (old.digest, ())
    following = swarm.history()[made]
    assert following.parent_digest == old.digest
    assert following.term > record.term
    assert swarm.problems() == []


def test_whoever_comes_to_a_run_that_went_back_goes_on_from_there(swarm: Swarm) -> None:
    swarm.leave_all()
    made = roll_back(swarm, 0)
    swarm.start("ada", "ben")
    swarm.together("ada", "ben")
    assert swarm.history()[made].parent_digest == swarm.history()[made - 1].digest
    swarm.end()
    applied = {name: read_applied(peer.journal, swarm.run) for name, peer in swarm.peers.items()}
    assert all(applied.values())
    assert audit_run(swarm.database, swarm.database.find_run(swarm.run), applied)[1] == []
