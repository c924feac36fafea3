from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from p2pgan.rendezvous import StatusSnapshot

MakeStatus = Callable[..., StatusSnapshot]


@pytest.fixture
def make_status() -> MakeStatus:
    """Statuses of a run whose peers are called by ``names``; a peer's id is ``id-`` and its name."""

    def make(
        names: Sequence[str], leader: str | None = None, version: int = 0, term: int = 1, age: float = 1.0
    ) -> StatusSnapshot:
        return StatusSnapshot(
            run="lab",
            version=version,
            committed_version=version,
            digest="ab" * 32,
            term=term,
            leader=f"id-{leader}" if leader else None,
            epoch=0,
            images=1000 * version,
            images_per_s=250.0,
            last_commit_age_s=age,
            units={"open": 1, "leased": 2, "done": 3},
            peers=[
                {
                    "id": f"id-{name}",
                    "name": name,
                    "state": "active",
                    "device": "cpu",
                    "images_per_s": 100.0,
                    "last_seen_s": 0.5,
                    "version": version,
                    "digest": "ab" * 32,
                    "set_aside": "",
                }
                for name in names
            ],
        )

    return make
