"""A thread that makes one call to the rendezvous after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from p2pgan.errors import RendezvousUnavailable
from p2pgan.peer.inbox import Inbox, ThreadDied
from p2pgan.protocol.events import DatabaseFailed

Call = Callable[[], None]


@dataclass(frozen=True)
class _Queued:
    operation: str
    call: Call
    awaited: bool


class Line:
    """Calls that fail for want of a database become events; other errors end the peer.

    After a failure, calls that nobody waits for are passed over until another one succeeds, so that
    they do not pile up while the database is away.
    """

    def __init__(self, name: str, inbox: Inbox) -> None:
        self._inbox = inbox
        self._calls: queue.SimpleQueue[_Queued | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._down = False

    def start(self) -> None:
        self._thread.start()

    def put(self, operation: str, call: Call, awaited: bool = True) -> None:
        """Queue a call; ``awaited`` if the state machine goes on only with its answer."""
        self._calls.put(_Queued(operation, call, awaited))

    def end(self, seconds: float) -> None:
        """Finish what is queued, within a bounded time; may be called again."""
        self._calls.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while (queued := self._calls.get()) is not None:
            if queued.awaited or not self._down:
                self._make(queued)

    def _make(self, queued: _Queued) -> None:
        try:
            queued.call()
        except RendezvousUnavailable:
            self._down = True
            self._inbox.put(DatabaseFailed(queued.operation))
        except Exception as error:  # handed to the loop, which ends the peer with it
            self._inbox.put(ThreadDied(error))
        else:
            self._down = False
