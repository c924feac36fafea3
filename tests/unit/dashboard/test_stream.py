"""However many watch, the database is looked at once a second, and not at all for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, cast

import pytest

from p2pgan.dashboard.source import Source
from p2pgan.dashboard.stream import Hub
from p2pgan.errors import RendezvousUnavailable, RunError

WITHIN_S = 60.0


class Scripted:
    """Answers in place of a rendezvous: what is in ``answers``, the last one again and again."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers, self.asked = list(answers), 0

    async def ask(self, question: Hashable, read: Callable[[Any], Any]) -> object:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pgan.dashboard.stream.LOOK_EVERY_S", 0.01)


async def first(hub: Hub, number: int, run: int = 1) -> list[bytes]:
    heard: list[bytes] = []
    watching = hub.watch(run)
    async for event in watching:
        heard.append(event)
        if len(heard) == number:
            break
    await cast(Any, watching).aclose()
    return heard


def test_the_database_goes_away_and_comes_back() -> None:
    source = Scripted(b"1", RendezvousUnavailable("down"), b"2", RunError("deleted"))
    heard = asyncio.run(first(Hub(cast(Source, source)), 5))
    assert heard == [
        b"retry: 2000\n\n",
        b"event: view\ndata: 1\n\n",
        b'event: away\ndata: "down"\n\n',
        b"event: view\ndata: 2\n\n",
        b'event: gone\ndata: "deleted"\n\n',
    ]


def test_many_watchers_are_one_look_and_none_are_none() -> None:
    source = Scripted(b"1")

    async def scene() -> None:
        hub = Hub(cast(Source, source))
        heard = await asyncio.gather(*(first(hub, 2) for _ in range(50)))
        assert all(each[1] == b"event: view\ndata: 1\n\n" for each in heard)
        await asyncio.sleep(0)  # a turn of the loop, in which what was cancelled ends
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody looks for nobody"

    asyncio.run(scene())
    assert source.asked < 10


def test_closing_ends_all_streams() -> None:
    async def scene() -> None:
        hub, seen = Hub(cast(Source, Scripted(b"1"))), asyncio.Event()

        async def watch() -> None:
            async for event in hub.watch(1):
                if event.startswith(b"event: view"):
                    seen.set()

        watching = asyncio.create_task(watch())
        await asyncio.wait_for(seen.wait(), WITHIN_S)
        await hub.close()
        await asyncio.wait_for(watching, WITHIN_S)

    asyncio.run(scene())
