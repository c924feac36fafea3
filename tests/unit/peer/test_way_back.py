"""What a peer says when its signals tell of a collapse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from p2pgan.gan.signals import COLLAPSED, D_FELL, NO_GRADIENT
from p2pgan.peer.database import Database
from p2pgan.peer.inbox import Inbox, TrainingNoticed

WITHIN_S = 60.0


@pytest.mark.parametrize(("sound", "version"), [(40, 40), (None, 0)])
def test_the_command_that_goes_back_is_printed_whole(sound: int | None, version: int) -> None:
    inbox, asked = Inbox(), []

    def sound_version(*limits: object) -> int | None:
        asked.append(limits)
        return sound

    parts = cast(Any, SimpleNamespace(sound_version=sound_version, id=7, name="faces"))
    database = Database(parts, parts, parts, parts, parts, 0, parts, inbox, lambda _: None, 10)
    database.start()
    try:
        database.find_way_back()
        told = inbox.get(timeout=WITHIN_S)
    finally:
        database.end(WITHIN_S)
    assert isinstance(told, TrainingNoticed)
    assert told.text.endswith(f": p2pgan rollback --rendezvous DSN --run faces --to {version}")
    assert not told.collapsed, "it would be asked for again and again"
    assert asked == [(7, COLLAPSED, D_FELL, NO_GRADIENT)]
