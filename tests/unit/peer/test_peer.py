"""What a peer's loop does besides handing events to the state machine."""

from __future__ import annotations

from collections import Counter
from inspect import signature
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from p2pgan.peer.peer import GIVE_BACK_EVERY_S, Peer
from p2pgan.peer.perform import Performer
from p2pgan.transport import SharingFailed


@pytest.mark.parametrize(("who", "name"), [("B", "ben"), (None, "peers of this machine")])
def test_why_memory_is_not_shared_is_told_in_the_log_and_to_nobody_else(who: str | None, name: str) -> None:
    log, memory, database = MagicMock(), MagicMock(), MagicMock()
    parts = {each: MagicMock() for each in signature(Performer).parameters}
    performer = Performer(**(parts | {"log": log, "memory": memory, "database": database}))
    machine = SimpleNamespace(core=SimpleNamespace(name={"B": "ben"}.get))
    peer = Peer(
        **(
            {each: MagicMock() for each in signature(Peer).parameters}
            | {"performer": performer, "machine": machine}
        )
    )
    peer._take(SharingFailed(who, "no descriptor left"))
    text = f"not shared with {name}: no descriptor left"
    log.note.assert_called_once_with("memory", text)
    memory.add_event.assert_called_once_with("memory", text)
    database.note.assert_not_called()


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
