"""What changes is pushed: one look at each run a second, however many watch, and none if nobody does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from p2pgan.dashboard.source import Source
from p2pgan.dashboard.succession import heir
from p2pgan.errors import P2pganError, RunError
from p2pgan.rendezvous import Rendezvous

LOOK_EVERY_S = 1.0
MOST_WATCHERS = 500
"""Pages that watch at the same time."""


@dataclass
class _Feed:
    """One run's news; watchers that are slow see the newest and miss what was in between."""

    news: bytes = b""
    number: int = 0
    watchers: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    task: asyncio.Task[None] | None = None


class Hub:
    """All feeds; to be used in the loop that serves."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._feeds: dict[int, _Feed] = {}
        self._closed = False

    @property
    def full(self) -> bool:
        return sum(feed.watchers for feed in self._feeds.values()) >= MOST_WATCHERS

    async def watch(self, run_id: int) -> AsyncIterator[bytes]:
        """Server-sent events of a run: ``view``, ``away`` with a reason, ``gone``."""
        feed = self._feeds.setdefault(run_id, _Feed())
        feed.watchers += 1
        if feed.task is None:
            feed.task = asyncio.create_task(self._look(run_id, feed))
        try:
            yield b"retry: 2000\n\n"
            seen = 0
            while (seen := await self._newer(feed, seen)) and not self._closed:
                yield feed.news
        finally:
            feed.watchers -= 1
            if feed.watchers == 0 and feed.task is not None:
                feed.task.cancel()
                del self._feeds[run_id]

    async def close(self) -> None:
        """End all streams."""
        self._closed = True
        for feed in list(self._feeds.values()):
            async with feed.changed:
                feed.changed.notify_all()

    async def _newer(self, feed: _Feed, seen: int) -> int:
        """The number of the newest news, once it is not ``seen`` or all ends."""
        async with feed.changed:
            await feed.changed.wait_for(lambda: feed.number != seen or self._closed)
            return feed.number

    async def _look(self, run_id: int, feed: _Feed) -> None:
        while True:
            news = await self._news(run_id)
            async with feed.changed:
                feed.news, feed.number = news, feed.number + 1
                feed.changed.notify_all()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _news(self, run_id: int) -> bytes:
        def read(rendezvous: Rendezvous) -> bytes:
            status, overview = rendezvous.status(run_id), rendezvous.overview(run_id)
            view = {
                "status": status,
                "overview": overview,
                "heir": heir(status, overview["successor"]),
                "now": time.time(),
            }
            return msgspec.json.encode(view)

        try:
            return _event("view", await self._source.ask(("view", run_id), read))
        except RunError as error:
            return _event("gone", msgspec.json.encode(str(error)))
        except P2pganError as error:
            return _event("away", msgspec.json.encode(str(error)))


def _event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
