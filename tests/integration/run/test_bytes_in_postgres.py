"""Gradients go from peer to peer: what Postgres is told grows with commits, not with rounds."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import Swarm

ROUNDS = 20
SETTINGS = {
    "sync": {"mode": "gradients", "local_steps": 1},
    "gan": {"model": {"width": 32}},
    "commit_seconds": 3600,  # so that no weights are due while the test looks
    "unit_images": 512,
}
BYTES_OF_ROWS = 1 << 20
"""Leases, heartbeats, events, and the first touch of each page after a checkpoint."""


def test_rounds_of_gradients_write_no_vector_and_a_commit_writes_one(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]
) -> None:
    swarm = swarms(postgres)
    swarm.create(SETTINGS)
    swarm.start("ada", "ben")
    ada, ben = swarm.peers["ada"], swarm.peers["ben"]

    def both_have(version: int) -> None:
        swarm.until(
            lambda: version <= min(max(swarm.applied(peer), default=0) for peer in (ada, ben)),
            f"version {version} at both",
        )

    begun = 2 + max(swarm.until(lambda: swarm.applied(ada) and swarm.applied(ben), "rounds of both"))
    both_have(begun)
    committed, before = swarm.committed, written(postgres.dsn)
    both_have(begun + ROUNDS)
    rows = written(postgres.dsn) - before
    assert swarm.committed == committed, "no commit came between"

    swarm.end()
    newest = swarm.history()[-1]
    assert newest.version >= begun + ROUNDS
    snapshot = swarm.database.read_manifest(swarm.run_id, newest.version).length
    vector = snapshot // 4  # weights, two moments, and the averaged generator
    assert rows < BYTES_OF_ROWS < ROUNDS * vector / 4, (
        "not a quarter of one contribution's bytes for each round"
    )
    commit = written(postgres.dsn) - before - rows
    assert commit > snapshot, "what is counted would show a vector"


def written(dsn: str) -> int:
    """Bytes that the server has written to its log of all changes so far, other than to temporary tables."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
    assert found is not None
    return int(found[0])
