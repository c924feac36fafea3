"""Where the page's facts come from: one read-only rendezvous, asked in threads, however many look."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from p2pgan.rendezvous import Rendezvous, open_rendezvous

Answer = TypeVar("Answer")

FRESH_S = 1.0
"""So long an answer serves everybody who asks the same."""


class Source:
    """The rendezvous at ``place``, opened when it is first asked, and again as long as that fails."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._rendezvous: Rendezvous | None = None
        self._opening = threading.Lock()
        self._answers: dict[Hashable, tuple[float, asyncio.Task[object]]] = {}

    async def ask(self, question: Hashable, read: Callable[[Rendezvous], Answer]) -> Answer:
        """The answer of ``read``; who asks the same ``question`` within ``FRESH_S`` gets the same one.

        Raises:
            P2pganError: as the call in ``read`` does; the next question tries anew.
        """
        now = time.monotonic()
        kept = self._answers.get(question)
        if kept is None or kept[0] < now:
            self._forget(now)
            task = asyncio.create_task(asyncio.to_thread(self._read, read))
            # Should all who asked hang up, an error is nobody's.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            kept = self._answers[question] = (now + FRESH_S, cast("asyncio.Task[object]", task))
        # Shielded: who asked first may hang up while others wait for the answer.
        return cast(Answer, await asyncio.shield(kept[1]))

    def close(self) -> None:
        """Hang up."""
        with self._opening:
            if self._rendezvous is not None:
                self._rendezvous.close()
                self._rendezvous = None

    def _read(self, read: Callable[[Rendezvous], Answer]) -> Answer:
        with self._opening:
            if self._rendezvous is None:
                self._rendezvous = open_rendezvous(self._place, read_only=True)
            rendezvous = self._rendezvous
        return read(rendezvous)

    def _forget(self, now: float) -> None:
        old = [question for question, (until, task) in self._answers.items() if until < now and task.done()]
        for question in old:
            del self._answers[question]
