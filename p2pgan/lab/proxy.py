"""A TCP proxy on this machine that carries each link as badly as it is told to.

A link is a pair of names, from the one that dialled to the one that was dialled; both directions of
its connections share its condition. What a cut holds back arrives after it is mended, as TCP would
have it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK_BYTES = 64 * 1024
CHUNKS_IN_FLIGHT = 64
"""Bound on what one direction of a connection holds."""

Address = tuple[str, int]
Link = tuple[str, str]


@dataclass(frozen=True)
class Condition:
    """How a link carries bytes; the default is as well as loopback does."""

    cut: bool = False
    """Nothing passes; connections stay as they are."""
    delay_s: float = 0.0
    bytes_per_s: float | None = None
    """Of each connection."""
    corrupt_every: int | None = None
    """One bit is flipped in every so many bytes."""


class Proxy:
    """Forwards connections; runs an event loop in a thread of its own.

    ``identify`` says who dialled, by the address that the connection comes from; it may block.
    """

    def __init__(self, identify: Callable[[Address], str]) -> None:
        self._identify = identify
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._conditions: dict[Link, Condition] = {}
        self._changed = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forward(self, to: str, listen: Address, target: Address) -> int:
        """Listen for connections to ``to`` and pass them on to ``target``; the port (0: any free one).

        Raises:
            OSError: the address cannot be listened on.
        """
        return asyncio.run_coroutine_threadsafe(self._listen(to, listen, target), self._loop).result()

    def set(self, links: Iterable[Link], condition: Condition) -> None:
        """From now on ``links`` are in this condition."""
        asyncio.run_coroutine_threadsafe(self._set(tuple(links), condition), self._loop).result()

    def mend(self) -> None:
        """All links are as good as new."""
        self.set(self._conditions, Condition())

    # -- in the loop's thread ----------------------------------------------------------------

    async def _listen(self, to: str, listen: Address, target: Address) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._serve(to, target, reader, writer)
            finally:
                self._connections.discard(task)
                writer.close()

        server = await asyncio.start_server(serve, *listen)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _set(self, links: tuple[Link, ...], condition: Condition) -> None:
        self._conditions.update((link, condition) for link in links)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(
        self, to: str, target: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source = await asyncio.to_thread(self._identify, writer.get_extra_info("peername"))
        link = (source, to)
        await self._until_mended(link)
        # Whoever dials a dead peer, or one that dies, is told so as by its machine: the connection ends.
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(link, reader, far_writer))
                    both.create_task(self._carry(link, far_reader, writer))
            except* OSError:
                pass
            finally:
                far_writer.close()

    async def _carry(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its sender has closed it."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_IN_FLIGHT)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take_in(link, reader, queue))
            both.create_task(self._give_out(link, queue, writer))

    async def _take_in(
        self, link: Link, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await queue.put((self._loop.time() + self._condition(link).delay_s, data))
        await queue.put((self._loop.time(), b""))

    async def _give_out(
        self, link: Link, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        passed = 0
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - self._loop.time())
            await self._until_mended(link)
            if not data:
                break
            condition = self._condition(link)
            if condition.bytes_per_s is not None:
                await asyncio.sleep(len(data) / condition.bytes_per_s)
            writer.write(_corrupted(data, passed, condition.corrupt_every))
            passed += len(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def _condition(self, link: Link) -> Condition:
        return self._conditions.get(link, Condition())

    async def _until_mended(self, link: Link) -> None:
        while self._condition(link).cut:
            await self._changed.wait()


def _corrupted(data: bytes, passed: int, every: int | None) -> bytes:
    """``data`` with a bit flipped at each multiple of ``every`` bytes, counted over the connection."""
    if every is None:
        return data
    first = -passed % every
    changed = bytearray(data)
    for position in range(first if passed or first else every, len(data), every):
        changed[position] ^= 1
    return bytes(changed)
