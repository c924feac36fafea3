"""A thread that draws batches of images, one after the other."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from p2pgan.errors import RendezvousError, RendezvousUnavailable, UserError
from p2pgan.gan.memory import is_out_of_memory
from p2pgan.gan.sampling import Generator
from p2pgan.peer.inbox import BatchDrawn, BatchFailed, Inbox, ThreadDied
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import DrawRequest

Source = Callable[[], Generator]
"""Called on the thread; raises UserError or RendezvousError if there are no such weights here."""


@dataclass(frozen=True)
class _Job:
    sender: PeerId
    request: DrawRequest
    source: Source


class Drawer:
    """Puts what it drew into the inbox, or why it could not.

    ``share`` of its time it draws, the rest it rests: whoever asks, and for however much, trainings on the
    same device have the rest for themselves.
    """

    def __init__(
        self,
        inbox: Inbox,
        share: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
        rest: Callable[[float], object] | None = None,
    ) -> None:
        self._inbox, self._share, self._clock = inbox, share, clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._rest = rest or self._ended.wait
        self._thread = threading.Thread(target=self._run, name="drawing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def draw(self, sender: PeerId, request: DrawRequest, source: Source) -> None:
        """Queue a batch."""
        self._jobs.put(_Job(sender, request, source))

    def end(self, seconds: float) -> None:
        """Drop what is queued; end after the batch under way, within a bounded time."""
        self._ended.set()
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None and not self._ended.is_set():
            began = self._clock()
            try:
                self._inbox.put(_drawn(job))
            except Exception as error:  # handed to the loop, which ends with it
                self._inbox.put(ThreadDied(error))
                return
            self._rest((1 / self._share - 1) * (self._clock() - began))


def _drawn(job: _Job) -> BatchDrawn | BatchFailed:
    request = job.request
    try:
        generator = job.source()
        images = generator.batch(request.first, request.seed, request.label, request.truncation)
    except RendezvousUnavailable as error:
        return BatchFailed(job.sender, request, True, str(error))
    except (UserError, RendezvousError) as error:
        return BatchFailed(job.sender, request, False, str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return BatchFailed(job.sender, request, False, "its device has no memory left for it")
    return BatchDrawn(job.sender, request, images)
