"""Who is shown to be next for the pen."""

from __future__ import annotations

from typing import Any

import pytest

from p2pgan.dashboard.succession import heir
from p2pgan.protocol.shares import by_rendezvous_hash
from p2pgan.rendezvous import PeerStatus, StatusSnapshot
from tests.unit.cli.test_status import ADA, snapshot


def peer(name: str, **changes: Any) -> PeerStatus:
    return PeerStatus(**{**ADA, "id": name, "name": name, **changes})  # type: ignore[typeddict-item]


def led(*peers: PeerStatus) -> StatusSnapshot:
    return snapshot(peer("A"), *peers)


def test_it_is_whom_the_leader_would_choose() -> None:
    status = led(peer("B"), peer("C"), peer("D"))
    assert heir(status, None) == by_rendezvous_hash("faces", status["term"] + 1, "BCD")[0]


def test_whom_the_leader_has_named_goes_first() -> None:
    assert heir(led(peer("B"), peer("C")), "X") == "X"


@pytest.mark.parametrize(
    "flaw",
    [{"state": "left"}, {"state": "joining"}, {"last_seen_s": 16.0}, {"set_aside": "why"}, {"version": 39}],
)
def test_who_could_not_hold_it_is_passed_over(flaw: dict[str, object]) -> None:
    assert heir(led(peer("B", **flaw)), None) is None
    assert heir(led(peer("B", **flaw), peer("C")), None) == "C"


def test_without_a_leader_the_database_decides() -> None:
    assert heir(snapshot(), None) is None
