"""What a peer's loop does besides handing events to the state machine."""

from __future__ import annotations

from collections import Counter
from inspect import signature
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from p2pgan.peer.peer import GIVE_BACK_EVERY_S, Peer


def test_freed_memory_is_given_back_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []
    monkeypatch.setattr("p2pgan.peer.peer.give_freed_memory_back", lambda: times.append(now))
    parts = {name: MagicMock() for name in signature(Peer).parameters}
    parts |= {
        "performer": SimpleNamespace(offences=Counter()),
        "inbox": SimpleNamespace(floods=Counter()),
        "refused": dict,
        "uplink": lambda: 0.0,
    }
    peer = Peer(**parts)
    for now in range(100):
        peer._look_around(float(now))
    assert times == [0, GIVE_BACK_EVERY_S, 2 * GIVE_BACK_EVERY_S, 3 * GIVE_BACK_EVERY_S]
